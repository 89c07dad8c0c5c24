// The page: the known classes, and what connects its parts.

import { ask, setToken, takeTokenFromAddress } from "./api.js";
import { bytes, counted, element, find, ignoreStrayDrops, sentence } from "./parts.js";
import { showLimits, startPredicting } from "./predict.js";
import { offerMore, setTeachingLimits, startTeaching, watch } from "./teach.js";

async function showKnown() {
  const known = await ask("GET", "/classes");
  const memory = await ask("GET", "/memory");
  find("bundle").textContent = `${known.bundle}: ${counted(known.classes.length, "class")}, encoder ${known.encoder}, method ${known.method}`;
  document.title = `${known.bundle} – essential`;
  find("known").replaceChildren(...known.classes.map(line));
  find("nothing-known").hidden = known.classes.length > 0;
  find("known-names").replaceChildren(...known.classes.map(({ name }) => element("option", { value: name })));
  find("undo").disabled = !known.can_undo;
  find("memory").textContent = `Memory ${bytes(memory.total_bytes)}, file ${bytes(memory.bundle_bytes)}`;
  offerMore();
}

function line({ name, clips }) {
  const forget = element("button", { type: "button", class: "light", text: "Forget", "aria-label": `Forget ${name}` });
  forget.addEventListener("click", () =>
    change(forget, "DELETE", `/classes?name=${encodeURIComponent(name)}`, `${name} is forgotten. Undo brings it back.`),
  );
  return element("li", {}, element("span", { text: `${name} (${counted(clips, "clip")})` }), forget);
}

async function change(button, method, path, done) {
  button.disabled = true;
  const status = find("change-status");
  status.classList.remove("warn");
  status.textContent = "Changing ...";
  try {
    await ask(method, path);
    await showKnown();
    status.textContent = done;
  } catch (error) {
    status.classList.add("warn");
    status.textContent = sentence(error.message);
    button.disabled = false;
  }
}

async function begin() {
  find("trouble").hidden = true;
  try {
    const limits = await ask("GET", "/limits");
    showLimits(limits);
    setTeachingLimits(limits);
    await showKnown();
    await watch();
  } catch (error) {
    if (error.code === "no_access" && !find("access").hidden) return;
    find("trouble").textContent = sentence(error.message);
    find("trouble").hidden = false;
  }
}

takeTokenFromAddress();
ignoreStrayDrops();
startPredicting();
startTeaching(showKnown);
find("undo").addEventListener("click", () => change(find("undo"), "POST", "/undo", "The last change is undone."));
addEventListener("token-needed", () => {
  find("access").hidden = false;
  find("token").focus();
});
find("access").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken(find("token").value.trim());
  find("token").value = "";
  find("access").hidden = true;
  begin();
});
begin();

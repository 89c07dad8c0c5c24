// The known classes: each can be renamed, merged with another, and forgotten; the last change can be undone.

import { ask } from "./api.js";
import { button, bytes, counted, element, find, sentence } from "./parts.js";
import { isKnown, service } from "./service.js";

let reload = async () => {};

export function startKnown(load) {
  reload = load;
  find("undo").addEventListener("click", () => change(find("undo"), "POST", "/undo", "The last change is undone."));
}

export function showKnown(memory) {
  const { bundle, classes, encoder, method, can_undo: canUndo } = service.known;
  find("bundle").textContent = `${bundle}: ${counted(classes.length, "class")}, encoder ${encoder}, method ${method}`;
  document.title = `${bundle} – essential`;
  showLines(classes);
  find("nothing-known").hidden = classes.length > 0;
  find("known-names").replaceChildren(...classes.map(({ name }) => element("option", { value: name })));
  find("undo").disabled = !canUndo;
  find("memory").textContent = `Memory ${bytes(memory.total_bytes)}, file ${bytes(memory.bundle_bytes)}`;
}

// Another tab, or a lesson, may change them at any time: what is being typed stays, and the focus too.
function showLines(classes) {
  const held = find("known").contains(document.activeElement) ? document.activeElement : null;
  const open = new Map([...find("known").querySelectorAll(".renaming")].map((form) => [form.dataset.name, form.parentElement]));
  find("known").replaceChildren(...classes.map((known) => open.get(known.name) ?? line(known)));
  const label = held?.getAttribute("aria-label");
  const again = held?.isConnected ? held : [...find("known").querySelectorAll("button")].find((each) => label && each.ariaLabel === label);
  again?.focus();
}

function line(known) {
  const { name, clips } = known;
  const row = element("li", {}, element("span", { text: `${name} (${counted(clips, "clip")})` }));
  const rename = button("Rename", () => row.replaceWith(renaming(known)), { "aria-label": `Rename ${name}` });
  const forget = button(
    "Forget",
    () => change(forget, "DELETE", `/classes?${new URLSearchParams({ name })}`, `${name} is forgotten. Undo brings it back.`),
    { "aria-label": `Forget ${name}` },
  );
  row.append(element("div", { class: "row" }, rename, forget));
  return row;
}

function renaming(known) {
  const { name } = known;
  const input = element("input", { type: "text", maxlength: 100, value: name, autocomplete: "off", spellcheck: "false", "aria-label": `New name of ${name}` });
  const save = element("button", { type: "submit", text: "Save" });
  const cancel = button("Cancel", () => {
    const back = line(known);
    row.replaceWith(back);
    back.querySelector("button").focus();
  });
  const said = element("p", { class: "warn", role: "status" });
  const form = element("form", { class: "renaming", novalidate: "", "data-name": name }, input, element("div", { class: "row" }, save, cancel), said);
  input.addEventListener("input", () => {
    save.textContent = "Save";
    said.textContent = "";
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const to = input.value.trim();
    // Two classes become one only by a second press.
    const isMerge = to !== name && isKnown(to);
    if (isMerge && save.textContent !== "Merge") {
      save.textContent = "Merge";
      said.textContent = `${to} is known. Merge makes the two one class; undo parts them.`;
      return;
    }
    const query = new URLSearchParams({ name, to, ...(isMerge ? { merge: "true" } : {}) });
    const done = isMerge ? `${name} is part of ${to} now.` : `${name} is ${to} now.`;
    if (await change(save, "POST", `/classes/rename?${query}`, done)) find("undo").focus();
  });
  const row = element("li", {}, form);
  queueMicrotask(() => input.select());
  return row;
}

async function change(pressed, method, path, done) {
  pressed.disabled = true;
  const status = find("change-status");
  status.classList.remove("warn");
  status.textContent = "Changing ...";
  try {
    await ask(method, path);
    await reload();
    status.textContent = done;
    return true;
  } catch (error) {
    status.classList.add("warn");
    status.textContent = sentence(error.message);
    pressed.disabled = false;
    return false;
  }
}

// The known classes: each can be renamed, merged with another, and forgotten; the last change can be undone.

import { ask } from "./api.js";
import { button, bytes, counted, element, find, nameField, sentence } from "./parts.js";
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
  const list = find("known");
  const held = list.contains(document.activeElement) ? document.activeElement : null;
  const forms = [...list.querySelectorAll(".renaming")];
  const open = new Map(forms.map((form) => [form.dataset.name, form.parentElement]));
  list.replaceChildren(...classes.map((known) => open.get(known.name) ?? line(known)));
  const alike = (each) => held?.ariaLabel && each.ariaLabel === held.ariaLabel;
  (held?.isConnected ? held : [...list.querySelectorAll("button")].find(alike))?.focus();
}

function line(known) {
  const { name, clips } = known;
  const row = element("li", {}, element("span", { text: `${name} (${counted(clips, "clip")})` }));
  const rename = button("Rename", () => row.replaceWith(renaming(known)), { "aria-label": `Rename ${name}` });
  const path = `/classes?${new URLSearchParams({ name })}`;
  const done = `${name} is forgotten. Undo brings it back.`;
  const forget = button("Forget", () => change(forget, "DELETE", path, done), { "aria-label": `Forget ${name}` });
  row.append(element("div", { class: "row" }, rename, forget));
  return row;
}

function renaming(known) {
  const { name } = known;
  const input = nameField({ value: name, "aria-label": `New name of ${name}` });
  const save = element("button", { type: "submit", text: "Save" });
  const cancel = button("Cancel", () => {
    const back = line(known);
    row.replaceWith(back);
    back.querySelector("button").focus();
  });
  const said = element("p", { class: "warn", role: "status" });
  const buttons = element("div", { class: "row" }, save, cancel);
  const form = element("form", { class: "renaming", novalidate: "", "data-name": name }, input, buttons, said);
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
    await change(save, "POST", `/classes/rename?${query}`, done);
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
    // What was pressed is gone.
    if (!pressed.isConnected || document.activeElement === document.body) find("undo").focus();
  } catch (error) {
    status.classList.add("warn");
    status.textContent = sentence(error.message);
    pressed.disabled = false;
  }
}

// Several folders at once, each a class: shown with their counts, taught one after the other if they are confirmed.

import { saidOf } from "./files.js";
import { sendLesson } from "./jobs.js";
import { counted, element, find, pause, sentence } from "./parts.js";
import { isKnown, tooMuch } from "./service.js";

const PARTS_OF_A_DATA_SET = ["train", "test"];
const TRY_AGAIN = 2000;
let rows = [];
let isSending = false;

export function startFolders() {
  find("folders").addEventListener("submit", (event) => {
    event.preventDefault();
    teach();
  });
  find("folders-cancel").addEventListener("click", close);
  // What is left of a long list would be lost with the page.
  addEventListener("beforeunload", (event) => isSending && event.preventDefault());
}

export function offerFolders({ classes, passedOver, empty }) {
  if (isSending) return;
  const named = [...classes].map(([name, files]) => ({ name: name.normalize("NFC").trim(), files }));
  const isDataSet = named.length && named.every(({ name }) => PARTS_OF_A_DATA_SET.includes(name));
  rows = isDataSet ? [] : named.map(row);
  find("folders-title").textContent = isDataSet
    ? "These are parts of a data set: drop the folder train, whose folders are the classes."
    : rows.length
      ? `${counted(rows.length, "folder")}, each a class`
      : "There is no clip in a folder of a class.";
  find("folders-list").replaceChildren(...rows.map(({ line }) => line));
  const bare = empty.length ? `Without a clip: ${empty.join(", ")}. ` : "";
  find("folders-rest").textContent = bare + saidOf(passedOver);
  find("folders-status").textContent = "";
  find("folders-teach").hidden = !rows.length;
  find("folders-cancel").textContent = "Cancel";
  find("folders").hidden = false;
  find("folders-title").focus();
}

function row({ name, files }) {
  const problem = tooMuch(files);
  const box = element("input", { type: "checkbox" });
  box.checked = !problem;
  box.disabled = Boolean(problem);
  const more = isKnown(name) ? ", further ones of a known class" : "";
  const state = element("span", { class: problem ? "warn" : "quiet", text: problem });
  const text = element("span", { text: `${name}: ${counted(files.length, "clip")}${more}` });
  const label = element("label", { class: "check" }, box, text);
  return { name, files, box, state, line: element("li", {}, label, state) };
}

function close() {
  rows = [];
  find("folders-list").replaceChildren();
  find("folders").hidden = true;
  find("lesson-files").focus();
}

async function teach() {
  const chosen = rows.filter(({ box }) => box.checked);
  if (!chosen.length || isSending) return;
  isSending = true;
  find("folders-teach").disabled = find("folders-cancel").disabled = true;
  for (const { box } of rows) box.disabled = true;
  let failed = 0;
  for (const [place, each] of chosen.entries()) {
    find("folders-status").textContent = `Sending ${place + 1} of ${chosen.length}. Keep this page open.`;
    failed += (await send(each)) ? 0 : 1;
  }
  isSending = false;
  find("folders-teach").disabled = find("folders-cancel").disabled = false;
  find("folders-teach").hidden = true;
  find("folders-cancel").textContent = "Close";
  find("folders-status").textContent =
    `${counted(chosen.length - failed, "lesson")} queued${failed ? `, ${failed} refused` : ""}.`;
  if (!failed) close();
}

// One that the service has no room for yet is sent again.
async function send({ name, files, state }) {
  for (;;) {
    try {
      const onSent = (share) => (state.textContent = `sending, ${Math.round(100 * share)} %`);
      await sendLesson(name, files, { more: isKnown(name), onSent });
      state.textContent = "queued";
      return true;
    } catch (error) {
      if (error.code === "busy") {
        state.textContent = "waits for the lessons before it";
        await pause(TRY_AGAIN);
        continue;
      }
      state.className = "warn";
      state.textContent = sentence(error.message);
      return false;
    }
  }
}

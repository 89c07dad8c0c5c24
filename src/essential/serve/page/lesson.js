// The form of a lesson: a name, and clips that are chosen, dropped or recorded.

import { classesOf, takeFiles } from "./files.js";
import { offerFolders } from "./folders.js";
import { sendLesson } from "./jobs.js";
import { button, bytes, counted, element, find, player, sentence, tell } from "./parts.js";
import { startRecording } from "./record.js";
import { isKnown, service, tooMuch } from "./service.js";

const GOOD = 10;
// Each with its player, if it is a take: { file, video }.
let clips = [];

export function startTeaching() {
  takeFiles(find("lesson-drop"), [find("lesson-files"), find("lesson-folder")], take);
  startRecording((file) => add([{ file, video: player(file) }]));
  find("lesson").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  find("class-name").addEventListener("input", offerMore);
}

// A known class gets further clips only on purpose.
export function offerMore() {
  const known = isKnown(find("class-name").value.trim());
  find("more-line").hidden = !known;
  if (!known) find("more").checked = false;
}

function take(found) {
  if (found.some(({ path }) => path.includes("/"))) offerFolders(classesOf(found, service.limits));
  else add(found.map(({ file }) => ({ file })));
}

function add(more) {
  clips = [...clips, ...more];
  showClips();
  find("lesson-status").textContent = `${counted(clips.length, "clip")} chosen`;
}

function showClips() {
  find("lesson-clips").replaceChildren(...clips.map(line));
  const best = clips.length < GOOD ? `; ${GOOD} or more are best` : "";
  find("lesson-count").textContent = clips.length ? `${counted(clips.length, "clip")}${best}.` : "";
}

function line({ file, video }, place) {
  const remove = button("Remove", () => {
    if (video) URL.revokeObjectURL(video.src);
    clips = clips.filter((_, other) => other !== place);
    showClips();
    (find("lesson-clips").querySelectorAll("button")[Math.min(place, clips.length - 1)] ?? find("lesson-files")).focus();
  }, { "aria-label": `Remove ${file.name}` });
  return element("li", {}, ...(video ? [video] : []), element("span", { text: `${file.name}, ${bytes(file.size)}` }), remove);
}

function refusal(name) {
  if (!name) return ["class-name", "The class has no name. Give it one."];
  if (!find("more-line").hidden && !find("more").checked) {
    return ["more", `The class ${name} is known. Tick the box to teach it further clips, or give another name.`];
  }
  if (!clips.length) return ["lesson-files", "There is no clip. Choose some."];
  const problem = tooMuch(clips.map(({ file }) => file));
  return problem ? ["lesson-files", problem] : null;
}

async function send() {
  const name = find("class-name").value.trim();
  const problem = refusal(name);
  tell("lesson-error", problem ? problem[1] : "");
  if (problem) {
    find(problem[0]).focus();
    return;
  }
  const submit = find("lesson").querySelector("button[type=submit]");
  submit.disabled = true;
  try {
    const onSent = (share) => (submit.textContent = `Sending, ${Math.round(100 * share)} %`);
    await sendLesson(name, clips.map(({ file }) => file), { more: find("more").checked, onSent });
    for (const { video } of clips) if (video) URL.revokeObjectURL(video.src);
    clips = [];
    find("lesson").reset();
    showClips();
    offerMore();
    find("lesson-status").textContent = `The lesson of ${name} is queued`;
  } catch (error) {
    tell("lesson-error", sentence(error.message));
  } finally {
    submit.disabled = false;
    submit.textContent = "Teach";
  }
}

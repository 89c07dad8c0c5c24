// Recognise live: frames of the camera go to the service in batches, and its last answer is shown.

import { ask } from "./api.js";
import { closeCamera, openCamera } from "./camera.js";
import { counted, element, find, pause, scoreLines, sentence, titleOf } from "./parts.js";
import { usualTakeSeconds } from "./record.js";
import { service } from "./service.js";

const PART = { start: "live-start", panel: "live", view: "live-view", trouble: "live-trouble" };
const SEND_EVERY = 250;
const MOST_WAITING = 32;
const SIDE = 480;
const QUALITY = 0.9;
const TRY_AGAIN = 1000;
const PASSES = ["busy", "not_ready"];
const SESSION_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789";
let now = null;

export function startLive() {
  find("live-start").addEventListener("click", begin);
  find("live-stop").addEventListener("click", () => closeCamera(""));
}

async function begin() {
  chooseWindow();
  // As the service asks with its first answer.
  const every = find("live-window").value / service.known.frames_read;
  const session = { id: newSession(), began: performance.now(), waiting: [], dropped: 0, sent: 0, every };
  if (!(await openCamera(PART, () => (now = null)))) return;
  now = session;
  find("live-label").textContent = "Looking ...";
  find("live-scores").replaceChildren();
  find("live-facts").textContent = "";
  find("live-stop").focus();
  takeFrames(session);
  sendFrames(session).catch((error) => now === session && closeCamera(sentence(error.message)));
}

// What was recorded here is most like what is taught: the window that is nearest to its length.
function chooseWindow() {
  const seconds = usualTakeSeconds();
  if (!seconds) return;
  const apart = (option) => Math.abs(Math.log(option.value / seconds));
  const [nearest] = [...find("live-window").options].sort((one, other) => apart(one) - apart(other));
  nearest.selected = true;
}

const newSession = () =>
  [...crypto.getRandomValues(new Uint8Array(24))].map((byte) => SESSION_LETTERS[byte % SESSION_LETTERS.length]).join("");

// At the pace that the service asks for. What could not be taken or sent in time is counted.
async function takeFrames(session) {
  const view = find("live-view");
  const canvas = document.createElement("canvas");
  for (let due = performance.now(); now === session; ) {
    const blob = await frameOf(view, canvas);
    if (blob) session.waiting.push({ blob, taken: due });
    while (session.waiting.length > MOST_WAITING) {
      session.waiting.shift();
      session.dropped += 1;
    }
    due += 1000 * session.every;
    const late = Math.floor((performance.now() - due) / (1000 * session.every));
    if (late > 0) {
      session.dropped += late;
      due += late * 1000 * session.every;
    }
    await pause(Math.max(0, due - performance.now()));
  }
}

function frameOf(view, canvas) {
  if (!view.videoWidth) return null;
  const scale = Math.min(1, SIDE / Math.min(view.videoWidth, view.videoHeight));
  canvas.width = Math.round(scale * view.videoWidth);
  canvas.height = Math.round(scale * view.videoHeight);
  canvas.getContext("2d").drawImage(view, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
}

async function sendFrames(session) {
  while (now === session) {
    await pause(SEND_EVERY);
    if (!session.waiting.length) continue;
    const batch = session.waiting.splice(0);
    session.sent += batch.length;
    try {
      const answer = await ask("POST", "/live", { body: formOf(session, batch) });
      if (now === session) show(session, answer, performance.now() - batch.at(-1).taken);
    } catch (error) {
      if (!PASSES.includes(error.code)) throw error;
      session.dropped += batch.length;
      find("live-facts").textContent = sentence(error.message);
      await pause(TRY_AGAIN);
    }
  }
}

function formOf(session, batch) {
  const form = new FormData();
  form.append("session", session.id);
  form.append("window_seconds", find("live-window").value);
  form.append("times", JSON.stringify(batch.map(({ taken }) => (taken - session.began) / 1000)));
  for (const { blob } of batch) form.append("frames", blob, "frame.jpg");
  return form;
}

function show(session, answer, milliseconds) {
  session.every = answer.frames_wanted.every_seconds;
  const label = answer.ready ? titleOf(answer) : "Looking ...";
  // A reader of the screen says it when it changes.
  if (find("live-label").textContent !== label) find("live-label").textContent = label;
  find("live-scores").replaceChildren(...(answer.ready ? scoreLines(answer.top) : []));
  const dropped = session.dropped + answer.frames.dropped;
  const facts = [
    `${(milliseconds / 1000).toFixed(2)} s behind the camera`,
    `${counted(session.sent, "frame")} sent, ${dropped} dropped`,
  ];
  find("live-facts").replaceChildren(...facts.map((text) => element("span", { text })));
}

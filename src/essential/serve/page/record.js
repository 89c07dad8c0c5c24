// Hold to record: each press is a take of the camera, and a clip of the lesson.

import { closeCamera, openCamera } from "./camera.js";
import { counted, find } from "./parts.js";
import { service } from "./service.js";

const PART = { start: "record-start", panel: "recorder", view: "record-view", trouble: "record-trouble" };
const LEAST_SECONDS = 1;
const KINDS = ["video/webm;codecs=vp8", "video/webm", "video/mp4"];
let stream = null;
let take = null;
let count = 0;
let secondsOfTakes = 0;
let onTake = () => {};

export function startRecording(taken) {
  onTake = taken;
  find("record-start").addEventListener("click", open);
  find("record-stop").addEventListener("click", () => closeCamera(""));
  const hold = find("record-hold");
  const isKey = (event) => event.key === " " || event.key === "Enter";
  hold.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    hold.setPointerCapture(event.pointerId);
    begin();
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture", "blur"]) hold.addEventListener(name, finish);
  hold.addEventListener("keydown", (event) => {
    if (!isKey(event)) return;
    event.preventDefault();
    if (!event.repeat) begin();
  });
  hold.addEventListener("keyup", (event) => {
    if (!isKey(event)) return;
    event.preventDefault();
    finish();
  });
  // On a phone a long press would open a menu.
  hold.addEventListener("contextmenu", (event) => event.preventDefault());
}

// How long a take is on average; 0 before the first.
export const usualTakeSeconds = () => (count ? secondsOfTakes / count : 0);

async function open() {
  stream = await openCamera(PART, closed);
  if (!stream) return;
  find("record-status").textContent = "";
  find("record-rule").textContent =
    `Press and hold, with the mouse, a finger, or the space bar. Each press is a take. One below ${LEAST_SECONDS} second, ` +
    `or below the ${service.known.frames_read} frames that are read of a clip, is not used.`;
  find("record-hold").focus();
}

function closed() {
  finish();
  stream = null;
}

function begin() {
  if (take || !stream) return;
  const parts = [];
  const kind = KINDS.find((each) => MediaRecorder.isTypeSupported(each));
  const recorder = new MediaRecorder(stream, kind ? { mimeType: kind } : {});
  const mine = { recorder, began: performance.now(), seconds: 0, frames: 0 };
  take = mine;
  recorder.addEventListener("dataavailable", (event) => parts.push(event.data));
  recorder.addEventListener("stop", () => finished(mine, new Blob(parts, { type: recorder.mimeType.split(";")[0] })));
  recorder.start();
  find("record-status").textContent = "";
  countFrames(mine);
  mine.timer = setInterval(() => showTime(mine), 100);
  find("record-hold").classList.add("recording");
  showTime(mine);
}

function showTime(mine) {
  const seconds = (performance.now() - mine.began) / 1000;
  find("record-hold").textContent = `Recording, ${seconds.toFixed(1)} s`;
  if (seconds >= service.limits.clip_seconds) finish();
}

// A camera may give fewer frames than it should, in the dark most of all.
function countFrames(mine) {
  const view = find("record-view");
  if (!view.requestVideoFrameCallback) {
    mine.frames = Infinity;
    return;
  }
  view.requestVideoFrameCallback(() => {
    if (take !== mine) return;
    mine.frames += 1;
    countFrames(mine);
  });
}

function finish() {
  if (!take) return;
  const mine = take;
  take = null;
  clearInterval(mine.timer);
  mine.seconds = (performance.now() - mine.began) / 1000;
  // If the camera went off, it has stopped already.
  if (mine.recorder.state !== "inactive") mine.recorder.stop();
  find("record-hold").classList.remove("recording");
  find("record-hold").textContent = "Hold to record";
}

function finished(mine, blob) {
  if (take === mine) finish();
  const length = `${mine.seconds.toFixed(1)} s`;
  const needed = service.known.frames_read;
  if (mine.seconds < LEAST_SECONDS || mine.frames < needed || !blob.size) {
    const frames = Number.isFinite(mine.frames) ? ` and ${counted(mine.frames, "frame")}` : "";
    find("record-status").textContent =
      `Not used, too short: ${length}${frames}; ${LEAST_SECONDS} s and ${needed} frames are needed.`;
    return;
  }
  count += 1;
  secondsOfTakes += mine.seconds;
  const extension = blob.type.split("/")[1] || "webm";
  onTake(new File([blob], `take ${count}.${extension}`, { type: blob.type }));
  find("record-status").textContent = `Take ${count}, ${length}.`;
}

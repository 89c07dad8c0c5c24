// Clips are classified as they come.

import { ask } from "./api.js";
import { correction } from "./correct.js";
import { saidOf, takeFiles, videosOf } from "./files.js";
import { bytes, counted, element, find, percent, player, scoreLines, sentence, titleOf } from "./parts.js";
import { service } from "./service.js";

const AT_ONCE = 2;
const waiting = [];
let running = 0;

export function startPredicting() {
  takeFiles(find("predict-drop"), [find("predict-files")], (found) => {
    // A clip that is sent by itself is read whatever its name is.
    const isFolder = found.some(({ path }) => path.includes("/"));
    const { videos, passedOver } = isFolder ? videosOf(found, service.limits) : { videos: found, passedOver: new Map() };
    for (const { file } of videos) waiting.push(newCard(file));
    find("predict-status").textContent = `${counted(videos.length, "clip")} sent. ${saidOf(passedOver)}`;
    showLimits(saidOf(passedOver));
    work();
  });
}

export function showLimits(before = "") {
  const { clip_bytes: size, clip_seconds: seconds, side } = service.limits;
  find("predict-limits").textContent = `${before} Up to ${bytes(size)}, ${seconds} seconds and ${side} pixels a side.`.trim();
}

function work() {
  while (running < AT_ONCE && waiting.length) {
    running += 1;
    answer(waiting.shift()).finally(() => {
      running -= 1;
      work();
    });
  }
}

async function answer(card) {
  const { file, title, place } = card;
  try {
    const most = service.limits.clip_bytes;
    if (file.size > most) throw new Error(`it has ${bytes(file.size)}, and ${bytes(most)} are allowed`);
    const form = new FormData();
    form.append("clip", file);
    showAnswer(card, await ask("POST", "/predict", { body: form }));
  } catch (error) {
    title.className = "warn";
    title.textContent = "No answer";
    place.replaceChildren(element("p", { text: sentence(error.message) }));
    find("predict-status").textContent = `${file.name}: no answer. ${error.message}`;
  }
  card.line.removeAttribute("aria-busy");
}

function newCard(file) {
  const title = element("h3", { class: "quiet", text: "Classifying ..." });
  const seen = element("div", { class: "seen" });
  const place = element("div");
  const line = element("li", { "aria-busy": "true" }, title, element("p", { class: "file", text: file.name }), seen, place);
  find("answers").prepend(line);
  find("no-answers").hidden = true;
  return { file, title, seen, place, line, given: null };
}

function showAnswer(card, given) {
  const { file, title, seen, place } = card;
  const before = card.given;
  card.given = given;
  title.className = "";
  title.textContent = titleOf(given);
  const short = given.short_clip;
  const notes = [
    before && `Before: ${titleOf(before)}${before.unknown ? "" : `, ${percent(before.score)}`}`,
    given.unknown && `Closest: ${given.label}`,
    short && `${counted(short.frames, "frame")}, repeated to ${short.frames_read}`,
  ];
  const frames = given.frames.map((source, number) =>
    element("li", {}, element("img", { src: source, alt: `frame ${number + 1} of ${given.frames.length}` })),
  );
  if (!before) seen.append(player(file));
  place.replaceChildren(
    ...notes.filter(Boolean).map((text) => element("p", { class: "quiet", text })),
    element("ol", { class: "scores", "aria-label": "Probabilities" }, ...scoreLines(given.top)),
    element("ol", { class: "frames", "aria-label": "Frames that the encoder saw" }, ...frames),
  );
  if (!before) place.after(correction(file, () => answer(card)));
  find("predict-status").textContent = `${file.name}: ${titleOf(given)}`;
}

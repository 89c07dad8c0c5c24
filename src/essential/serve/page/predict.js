// Clips are classified as they come.

import { ask } from "./api.js";
import { bytes, counted, element, find, sentence, takeFiles } from "./parts.js";

const AT_ONCE = 2;
const waiting = [];
let running = 0;
let limits = null;

export function startPredicting() {
  takeFiles(find("predict-drop"), find("predict-files"), (files) => {
    for (const file of files) waiting.push({ file, card: newCard(file) });
    find("predict-status").textContent = `${counted(files.length, "clip")} sent`;
    work();
  });
}

export function showLimits(given) {
  limits = given;
  find("predict-limits").textContent =
    `Up to ${bytes(limits.clip_bytes)}, ${limits.clip_seconds} seconds and ${limits.side} pixels a side.`;
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

async function answer({ file, card }) {
  try {
    if (limits && file.size > limits.clip_bytes) {
      throw new Error(`it has ${bytes(file.size)}, and ${bytes(limits.clip_bytes)} are allowed`);
    }
    const form = new FormData();
    form.append("clip", file);
    showAnswer(card, file, await ask("POST", "/predict", { body: form }));
  } catch (error) {
    card.replaceChildren(
      element("h3", { class: "warn", text: "No answer" }),
      element("p", { class: "file", text: file.name }),
      element("p", { text: sentence(error.message) }),
    );
    find("predict-status").textContent = `${file.name}: no answer. ${error.message}`;
  }
  card.removeAttribute("aria-busy");
}

function newCard(file) {
  const card = element(
    "li",
    { "aria-busy": "true" },
    element("h3", { class: "quiet", text: "Classifying ..." }),
    element("p", { class: "file", text: file.name }),
  );
  find("answers").prepend(card);
  find("no-answers").hidden = true;
  return card;
}

function showAnswer(card, file, given) {
  const title = given.unknown ? "None of these" : given.label;
  const short = given.short_clip;
  const count = short && (short.frames === 1 ? "1 frame" : `${short.frames} frames`);
  const lacks = short ? [element("p", { class: "quiet", text: `${count}, repeated to ${short.frames_read}` })] : [];
  const nearest = given.unknown ? [element("p", { class: "quiet", text: `Closest: ${given.label}` })] : [];
  const scores = given.top.map(({ label, score }) =>
    element(
      "li",
      {},
      element("span", { text: label }),
      element("meter", { min: 0, max: 1, value: score, "aria-hidden": "true" }),
      element("span", { class: "number", text: `${(100 * score).toFixed(1)} %` }),
    ),
  );
  const frames = given.frames.map((source, place) =>
    element("li", {}, element("img", { src: source, alt: `frame ${place + 1} of ${given.frames.length}` })),
  );
  card.replaceChildren(
    element("h3", { text: title }),
    element("p", { class: "file", text: file.name }),
    ...nearest,
    ...lacks,
    element("ol", { class: "scores", "aria-label": "Probabilities" }, ...scores),
    element("ol", { class: "frames", "aria-label": "Frames that the encoder saw" }, ...frames),
  );
  find("predict-status").textContent = `${file.name}: ${title}`;
}

// A lesson: a name, its clips, and how far it is.

import { ask } from "./api.js";
import { bytes, counted, element, find, sentence, takeFiles } from "./parts.js";

const PAUSE = 400;
// The service gets no names of clips; they are kept here by their numbers.
const namesOfClips = new Map();
const seenOver = new Set();
let clips = [];
let limits = null;
let isWatching = false;
let onChange = () => {};

export function startTeaching(changed) {
  onChange = changed;
  takeFiles(find("lesson-drop"), find("lesson-files"), (files) => {
    clips = [...clips, ...files];
    showClips();
    find("lesson-status").textContent = `${counted(clips.length, "clip")} chosen`;
  });
  find("lesson").addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  find("class-name").addEventListener("input", offerMore);
}

export function setTeachingLimits(given) {
  limits = given;
}

// A known class gets further clips only on purpose.
export function offerMore() {
  const name = find("class-name").value.trim();
  const isKnown = [...find("known-names").children].some((option) => option.value === name);
  find("more-line").hidden = !isKnown;
  if (!isKnown) find("more").checked = false;
}

function showClips() {
  const lines = clips.map((file, place) => {
    const remove = element("button", { type: "button", class: "light", text: "Remove", "aria-label": `Remove ${file.name}` });
    remove.addEventListener("click", () => {
      clips = clips.filter((_, other) => other !== place);
      showClips();
      (find("lesson-clips").querySelectorAll("button")[Math.min(place, clips.length - 1)] ?? find("lesson-files")).focus();
    });
    return element("li", {}, element("span", { text: `${file.name}, ${bytes(file.size)}` }), remove);
  });
  find("lesson-clips").replaceChildren(...lines);
}

function refusal(name) {
  if (!name) return ["class-name", "The class has no name. Give it one."];
  if (!find("more-line").hidden && !find("more").checked) {
    return ["more", `The class ${name} is known. Tick the box to teach it further clips, or give another name.`];
  }
  if (!clips.length) return ["lesson-files", "There is no clip. Choose some."];
  if (!limits) return null;
  const large = clips.find((file) => file.size > limits.clip_bytes);
  if (large) return ["lesson-files", `${large.name} has ${bytes(large.size)}; ${bytes(limits.clip_bytes)} are allowed.`];
  if (clips.length > limits.lesson_clips) {
    return ["lesson-files", `There are ${clips.length} clips; ${limits.lesson_clips} are allowed in a lesson.`];
  }
  const total = clips.reduce((sum, file) => sum + file.size, 0);
  if (total > limits.lesson_bytes) {
    return ["lesson-files", `The clips have ${bytes(total)}; ${bytes(limits.lesson_bytes)} are allowed in a lesson.`];
  }
  return null;
}

async function send() {
  const name = find("class-name").value.trim();
  const problem = refusal(name);
  showError(problem ? problem[1] : "");
  if (problem) {
    find(problem[0]).focus();
    return;
  }
  const form = new FormData();
  form.append("class", name);
  if (find("more").checked) form.append("more_of_known", "true");
  for (const file of clips) form.append("clips", file);
  const button = find("lesson").querySelector("button[type=submit]");
  button.disabled = true;
  try {
    const onSent = (share) => (button.textContent = `Sending, ${Math.round(100 * share)} %`);
    const job = await ask("POST", "/teach", { body: form, onSent });
    namesOfClips.set(job.id, clips.map((file) => file.name));
    clips = [];
    find("lesson").reset();
    showClips();
    offerMore();
    find("lesson-status").textContent = `The lesson of ${name} is queued`;
    watch();
  } catch (error) {
    showError(sentence(error.message));
  } finally {
    button.disabled = false;
    button.textContent = "Teach";
  }
}

function showError(message) {
  find("lesson-error").textContent = message;
  find("lesson-error").hidden = !message;
}

// Look at the lessons until none is under way.
export async function watch() {
  if (isWatching) return;
  isWatching = true;
  try {
    for (let underWay = true; underWay; ) {
      const { jobs } = await ask("GET", "/jobs");
      find("jobs").replaceChildren(...jobs.reverse().map(line));
      const over = jobs.filter((job) => isOver(job) && !seenOver.has(job.id));
      for (const job of over) {
        seenOver.add(job.id);
        find("lesson-status").textContent = `${job.name}: ${outcome(job)}`;
      }
      if (over.length) await onChange();
      underWay = jobs.some((job) => !isOver(job));
      if (underWay) await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  } catch (error) {
    showError(sentence(error.message));
  } finally {
    isWatching = false;
  }
}

const isOver = (job) => job.state === "done" || job.state === "failed";

function line(job) {
  const parts = [element("h3", { text: job.name }), element("p", { text: outcome(job), class: job.error ? "warn" : "" })];
  if (!isOver(job)) {
    const bar = element("progress", { "aria-label": `The lesson of ${job.name}` });
    const step = job.progress;
    if (step && step.total) {
      bar.max = step.total;
      bar.value = step.done;
    }
    parts.push(bar);
  }
  for (const { clip, reason } of job.result?.left_out ?? []) {
    const name = namesOfClips.get(job.id)?.[clip - 1] ?? `clip ${clip}`;
    parts.push(element("p", { class: "warn", text: `Left out: ${name}: ${reason}` }));
  }
  return element("li", { "data-state": job.state }, ...parts);
}

function outcome(job) {
  if (job.state === "failed") return sentence(job.error.message);
  if (job.state === "waiting") return job.place ? `Waiting, ${counted(job.place, "lesson")} before it.` : "Next.";
  if (job.state === "done") {
    const { clips: count, held_out_accuracy: accuracy } = job.result;
    const right = accuracy === null ? "" : ` Held-out clips recognised: ${Math.round(100 * accuracy)} %.`;
    return `Learned from ${counted(count, "clip")}.${right}`;
  }
  const step = job.progress;
  if (!step) return "Starting.";
  return `${sentence(step.title).slice(0, -1)}${step.total ? `, ${step.done} of ${step.total}` : ""}${step.note ? `, ${step.note}` : ""}`;
}

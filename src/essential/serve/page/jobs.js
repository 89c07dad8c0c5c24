// Lessons: sending one, and how far all are, whichever tab sent them.

import { ask } from "./api.js";
import { counted, element, find, pause, sentence, tell } from "./parts.js";

const PAUSE = 400;
const PAUSE_WHEN_IDLE = 2000;
// The service gets no names of clips; they are kept here by their numbers.
const namesOfClips = new Map();
const followers = new Map();
const seenOver = new Set();
let shown = "";
let bundle = null;
// A lesson was sent, so there is something to look at now.
let isNews = false;
let wake = () => {};

// Gives the job that the lesson is. `onSent` is told how much is on its way, from 0 to 1.
export async function sendLesson(name, files, { more = false, onSent = null } = {}) {
  const form = new FormData();
  form.append("class", name);
  if (more) form.append("more_of_known", "true");
  for (const file of files) form.append("clips", file);
  const job = await ask("POST", "/teach", { body: form, onSent });
  namesOfClips.set(job.id, files.map((file) => file.name));
  isNews = true;
  wake();
  return job;
}

// `onStep` is told how far a lesson is, until it is over; gives it then.
export const follow = (id, onStep) => new Promise((resolve) => followers.set(id, { onStep, resolve }));

// Look at the lessons for ever; `onChange` is waited for when the bundle has changed, by this tab or by another.
export async function watch(onChange) {
  for (;;) {
    let isUnderWay = false;
    isNews = false;
    try {
      isUnderWay = await look(onChange);
      tell("trouble", "");
    } catch (error) {
      if (error.code === "no_access") return;
      tell("trouble", sentence(error.message));
    }
    const woken = new Promise((resolve) => (wake = resolve));
    if (!isNews) await Promise.race([woken, pause(isUnderWay ? PAUSE : PAUSE_WHEN_IDLE)]);
    if (document.hidden) await new Promise((resolve) => addEventListener("visibilitychange", resolve, { once: true }));
  }
}

async function look(onChange) {
  const found = await ask("GET", "/jobs");
  const jobs = found.jobs.reverse();
  const content = JSON.stringify(jobs);
  if (content !== shown) find("jobs").replaceChildren(...jobs.map(line));
  shown = content;
  if (found.bundle !== bundle) await onChange();
  const over = jobs.filter((job) => isOver(job) && !seenOver.has(job.id));
  for (const job of over) seenOver.add(job.id);
  if (bundle !== null && over.length) tellOver(over);
  bundle = found.bundle;
  for (const job of jobs) tellFollower(job);
  return jobs.some((job) => !isOver(job));
}

function tellOver(over) {
  find("change-status").textContent = "";
  find("lesson-status").textContent = over.map((job) => `${job.name}: ${outcome(job)}`).join(" ");
}

function tellFollower(job) {
  const follower = followers.get(job.id);
  if (!follower) return;
  follower.onStep(outcome(job));
  if (!isOver(job)) return;
  followers.delete(job.id);
  follower.resolve(job);
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
    const right = accuracy === null ? "" : ` Held-out clips recognised: ${Math.round(100 * accuracy)}\u00a0%.`;
    return `Learned from ${counted(count, "clip")}.${right}`;
  }
  const step = job.progress;
  if (!step) return "Starting.";
  const count = step.total ? `, ${step.done} of ${step.total}` : "";
  return `${sentence(step.title).slice(0, -1)}${count}${step.note ? `, ${step.note}` : ""}`;
}

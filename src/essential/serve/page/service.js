// What the page knows of the service, as it was last told: `limits` of what may be sent, and the classes that are `known`.

import { bytes, counted } from "./parts.js";

export const service = { limits: null, known: null };

export const isKnown = (name) => service.known.classes.some((each) => each.name === name);

// Why so many clips are no lesson; empty if they can be one.
export function tooMuch(files) {
  const { clip_bytes: mostBytes, lesson_clips: mostClips, lesson_bytes: mostTogether } = service.limits;
  const large = files.find((file) => file.size > mostBytes);
  if (large) return `${large.name} has ${bytes(large.size)}; ${bytes(mostBytes)} are allowed.`;
  if (files.length > mostClips) return `There are ${counted(files.length, "clip")}; ${mostClips} are allowed in a lesson.`;
  const total = files.reduce((sum, file) => sum + file.size, 0);
  return total > mostTogether ? `The clips have ${bytes(total)}; ${bytes(mostTogether)} are allowed in a lesson.` : "";
}

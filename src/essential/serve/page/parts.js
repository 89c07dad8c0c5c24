// Building the page. Text goes in as text, never as HTML.

export const find = (id) => document.getElementById(id);
export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

export function element(name, { text = null, ...attributes } = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== null) made.textContent = text;
  made.append(...children);
  return made;
}

export function button(text, onClick, attributes = {}) {
  const made = element("button", { type: "button", class: "light", text, ...attributes });
  made.addEventListener("click", onClick);
  return made;
}

export const nameField = (attributes) =>
  element("input", { type: "text", maxlength: 100, autocomplete: "off", spellcheck: "false", ...attributes });

// Say something in its place, or nothing any more.
export function tell(id, message) {
  find(id).textContent = message;
  find(id).hidden = !message;
}

export function bytes(count) {
  const units = ["bytes", "KiB", "MiB", "GiB"];
  let power = 0;
  while (count >= 1024 && power < units.length - 1) {
    count /= 1024;
    power += 1;
  }
  return `${power && count < 10 ? count.toFixed(1) : Math.round(count)} ${units[power]}`;
}

export const counted = (count, what) => `${count} ${what}${count === 1 ? "" : what.endsWith("s") ? "es" : "s"}`;
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.?!]$/.test(text) ? "" : ".");
export const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;
export const titleOf = (answer) => (answer.unknown ? "None of these" : answer.label);

// Lines of the most probable classes, each with a bar.
export const scoreLines = (top) =>
  top.map(({ label, score }) =>
    element(
      "li",
      {},
      element("span", { text: label }),
      element("meter", { min: 0, max: 1, value: score, "aria-hidden": "true" }),
      element("span", { class: "number", text: percent(score) }),
    ),
  );

// A player of a clip, which goes away if the browser cannot play it.
export function player(file) {
  const video = element("video", { controls: "", loop: "", playsinline: "", preload: "metadata", "aria-label": file.name });
  video.muted = true;
  const end = () => {
    URL.revokeObjectURL(video.src);
    video.remove();
  };
  video.addEventListener("error", end);
  video.addEventListener("loadedmetadata", () => {
    if (!video.videoWidth) end();
    // What a browser records may not say how long it is: it is found by looking for its end.
    if (video.duration === Infinity) {
      video.currentTime = Number.MAX_SAFE_INTEGER;
      video.addEventListener("durationchange", () => (video.currentTime = 0), { once: true });
    }
  });
  video.src = URL.createObjectURL(file);
  return video;
}

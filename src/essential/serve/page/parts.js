// Building the page. Text goes in as text, never as HTML.

export const find = (id) => document.getElementById(id);

export function element(name, { text = null, ...attributes } = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== null) made.textContent = text;
  made.append(...children);
  return made;
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

// Clips that are chosen or dropped go to `take`, as a list of files.
export function takeFiles(drop, input, take) {
  input.addEventListener("change", () => {
    take([...input.files]);
    input.value = "";
  });
  const over = (is) => (event) => {
    event.preventDefault();
    drop.classList.toggle("over", is);
  };
  drop.addEventListener("dragenter", over(true));
  drop.addEventListener("dragover", over(true));
  drop.addEventListener("dragleave", over(false));
  drop.addEventListener("drop", (event) => {
    over(false)(event);
    const files = [...event.dataTransfer.files];
    if (files.length) take(files);
  });
}

// A clip that misses its place would be opened by the browser, in the place of this page.
export function ignoreStrayDrops() {
  for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
}

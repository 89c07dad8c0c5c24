// Clips that are chosen or dropped, alone or in folders, each with its path: "waving/1.mp4", or "1.mp4".

import { counted } from "./parts.js";

// `take` gets [{ path, file }]; a file that cannot be read is null.
export function takeFiles(drop, inputs, take) {
  for (const input of inputs) {
    input.addEventListener("change", () => {
      take([...input.files].map((file) => ({ path: file.webkitRelativePath || file.name, file })));
      input.value = "";
    });
  }
  const over = (is) => (event) => {
    event.preventDefault();
    drop.classList.toggle("over", is);
  };
  drop.addEventListener("dragenter", over(true));
  drop.addEventListener("dragover", over(true));
  drop.addEventListener("dragleave", over(false));
  drop.addEventListener("drop", async (event) => {
    over(false)(event);
    const found = await filesOf(event.dataTransfer);
    if (found.length) take(found);
  });
}

// A clip that misses its place would be opened by the browser, in the place of this page.
export function ignoreStrayDrops() {
  for (const name of ["dragover", "drop"]) addEventListener(name, (event) => event.preventDefault());
}

// The entries must be asked for at once: what was dropped is gone after the first wait.
async function filesOf(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files].map((file) => ({ path: file.name, file }));
  return (await Promise.all(entries.map((entry) => below(entry, "")))).flat();
}

async function below(entry, folder) {
  const path = folder + entry.name;
  const waited = (ask) => new Promise((resolve) => ask(resolve, () => resolve(null)));
  if (entry.isFile) return [{ path, file: await waited((take, fail) => entry.file(take, fail)) }];
  const reader = entry.createReader();
  const found = [];
  // A browser gives a hundred at a time.
  for (let some; (some = await waited((take, fail) => reader.readEntries(take, fail)))?.length; ) {
    for (const each of some) found.push(...(await below(each, `${path}/`)));
  }
  // An empty folder is told of, too.
  return found.length ? found : [{ path: `${path}/`, file: null }];
}

// Those that are videos by their names, and how many are passed over, by reason.
export function videosOf(found, { extensions, clip_bytes: most }) {
  const videos = [];
  const passedOver = new Map();
  for (const each of found.filter(({ path }) => !path.endsWith("/"))) {
    const reason = whyNot(each, extensions, most);
    if (reason) passedOver.set(reason, (passedOver.get(reason) ?? 0) + 1);
    else videos.push(each);
  }
  return { videos, passedOver };
}

function whyNot({ path, file }, extensions, most) {
  if (path.split("/").some((part) => part.startsWith("."))) return "hidden";
  if (!extensions.includes(path.slice(path.lastIndexOf(".")).toLowerCase())) return "no video by its extension";
  if (!file) return "not readable";
  return file.size > most ? "too large" : null;
}

export function saidOf(passedOver) {
  const parts = [...passedOver].map(([reason, count]) => `${count} ${reason}`);
  const total = [...passedOver.values()].reduce((sum, count) => sum + count, 0);
  return total ? `Passed over: ${counted(total, "file")} (${parts.join(", ")}).` : "";
}

// Folders as classes: those that were given, or those inside the only one if it holds no video itself.
export function classesOf(found, limits) {
  const { videos, passedOver } = videosOf(found, limits);
  const parts = ({ path }) => path.split("/");
  const isOne = new Set(found.map((each) => parts(each)[0])).size === 1;
  const depth = isOne && videos.length && videos.every((each) => parts(each).length > 2) ? 1 : 0;
  const inFolders = found.filter((each) => parts(each).length > depth + 1);
  const inOrder = new Intl.Collator(undefined, { numeric: true }).compare;
  const names = [...new Set(inFolders.map((each) => parts(each)[depth]))].sort(inOrder);
  const all = new Map(names.map((name) => [name, []]));
  for (const each of videos) all.get(parts(each)[depth])?.push(each.file);
  const beside = videos.filter((each) => parts(each).length === depth + 1).length;
  if (beside) passedOver.set("beside the folders", beside);
  const classes = new Map([...all].filter(([, files]) => files.length));
  return { classes, passedOver, empty: names.filter((name) => !classes.has(name)) };
}

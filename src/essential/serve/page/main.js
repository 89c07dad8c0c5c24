// The page: what connects its parts.

import { ask, setToken, takeTokenFromAddress } from "./api.js";
import { ignoreStrayDrops } from "./files.js";
import { startFolders } from "./folders.js";
import { watch } from "./jobs.js";
import { showKnown, startKnown } from "./known.js";
import { offerMore, startTeaching } from "./lesson.js";
import { startLive } from "./live.js";
import { find, sentence, tell } from "./parts.js";
import { showLimits, startPredicting } from "./predict.js";
import { service } from "./service.js";

async function load() {
  service.known = await ask("GET", "/classes");
  showKnown(await ask("GET", "/memory"));
  offerMore();
}

function start() {
  startPredicting();
  startLive();
  startTeaching();
  startFolders();
  startKnown(load);
}

let isStarted = false;

async function begin() {
  tell("trouble", "");
  try {
    service.limits = await ask("GET", "/limits");
    await load();
    showLimits();
  } catch (error) {
    if (error.code !== "no_access" || find("access").hidden) tell("trouble", sentence(error.message));
    return;
  }
  if (!isStarted) start();
  isStarted = true;
  watch(load);
}

takeTokenFromAddress();
ignoreStrayDrops();
addEventListener("token-needed", () => {
  find("access").hidden = false;
  find("token").focus();
});
find("access").addEventListener("submit", (event) => {
  event.preventDefault();
  setToken(find("token").value.trim());
  find("token").value = "";
  find("access").hidden = true;
  begin();
});
begin();

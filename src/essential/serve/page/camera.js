// The one camera. It is off unless the page shows what it sees, and goes off when the page is hidden or left.

import { find, tell } from "./parts.js";

let current = null;

const REASONS = {
  NotAllowedError:
    "This page may not use the camera. Allow it beside the page's address, or in the browser's settings, and try again.",
  NotFoundError: "The browser finds no camera. Connect one and try again; clips can be chosen or dropped without one.",
  NotReadableError: "Another program uses the camera, or it does not answer. Close that program and try again.",
};

// Show the camera in a part of the page, by the ids of what is in it: the button `start` opens it, `panel` with the video
// `view` is there while it is on, and `trouble` says why it is not. `onClosed` is called when it goes off, whoever
// closes it. Gives its stream, or null.
export async function openCamera(part, onClosed) {
  closeCamera("");
  tell(part.trouble, navigator.mediaDevices?.getUserMedia ? "" : insecure());
  if (!navigator.mediaDevices?.getUserMedia) return null;
  const view = find(part.view);
  const mine = { part, view, onClosed, stream: null };
  current = mine;
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 } } });
  } catch (error) {
    if (current === mine) current = null;
    tell(part.trouble, REASONS[error.name] ?? `The camera cannot be used (${error.name}: ${error.message}).`);
    return null;
  }
  mine.stream = stream;
  // It was closed, or asked for anew, while the browser asked whether it may be used.
  if (current !== mine) {
    end(mine);
    return null;
  }
  const gone = () => current === mine && closeCamera("The camera was taken away.");
  stream.getVideoTracks()[0].addEventListener("ended", gone);
  view.srcObject = stream;
  await view.play().catch(() => {});
  if (current !== mine) return null;
  find(part.panel).hidden = false;
  find(part.start).disabled = true;
  return stream;
}

export function closeCamera(reason) {
  const closed = current;
  if (!closed) return;
  current = null;
  end(closed);
  closed.onClosed();
  const { panel, start, trouble } = closed.part;
  const hadFocus = find(panel).contains(document.activeElement);
  find(panel).hidden = true;
  find(start).disabled = false;
  if (hadFocus) find(start).focus();
  tell(trouble, reason);
}

function end({ view, stream }) {
  for (const track of stream?.getTracks() ?? []) track.stop();
  if (view.srcObject === stream) view.srcObject = null;
}

const insecure = () =>
  isSecureContext
    ? "This browser has no camera for pages. Clips can be chosen or dropped."
    : "A browser gives a camera only to pages of its own machine or with https, and this is " +
      `${location.origin}. Open it as http://localhost:${location.port} on the machine of the service, or through ` +
      `"ssh -L ${location.port}:localhost:${location.port}", or put a proxy with https before it.`;

const leave = () => closeCamera("The camera is off, because this page was left.");
addEventListener("visibilitychange", () => document.hidden && leave());
addEventListener("pagehide", leave);

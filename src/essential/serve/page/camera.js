// The one camera. It is off unless the page shows what it sees, and goes off when the page is hidden or left.

let current = null;

const REASONS = {
  NotAllowedError:
    "This page may not use the camera. Allow it beside the page's address, or in the browser's settings, and try again.",
  NotFoundError: "The browser finds no camera. Connect one and try again; clips can be chosen or dropped without one.",
  NotReadableError: "Another program uses the camera, or it does not answer. Close that program and try again.",
};

// Show the camera in a video element; `onClosed` is told why when it goes off, whoever closes it. Gives its stream.
export async function openCamera(view, onClosed) {
  closeCamera("");
  if (!navigator.mediaDevices?.getUserMedia) throw new Error(insecure());
  const mine = { view, onClosed, stream: null };
  current = mine;
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 } } });
  } catch (error) {
    if (current === mine) current = null;
    throw new Error(REASONS[error.name] ?? `The camera cannot be used (${error.name}: ${error.message}).`);
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
  return current === mine ? stream : null;
}

export function closeCamera(reason) {
  const closed = current;
  if (!closed) return;
  current = null;
  end(closed);
  closed.onClosed(reason);
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

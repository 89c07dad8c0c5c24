// Asking the service. Nothing else is ever asked for anything.

const BASE = "/api/v1";
const KEY = "essential-token";

export class ServiceError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

// The token comes with the address, behind the #, which browsers keep to themselves. It is not left there.
export function takeTokenFromAddress() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (given) {
    setToken(given);
    history.replaceState(null, "", location.pathname);
  }
}

export function setToken(token) {
  sessionStorage.setItem(KEY, token);
}

// `onSent` is told how much of the body is on its way, from 0 to 1.
export function ask(method, path, { body = null, onSent = null } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, BASE + path);
    const token = sessionStorage.getItem(KEY);
    if (token) request.setRequestHeader("Authorization", `Bearer ${token}`);
    if (onSent) request.upload.onprogress = (event) => onSent(event.loaded / event.total);
    request.onerror = () => reject(new ServiceError("unreachable", "The service does not answer. Is it still running?"));
    request.onload = () => {
      const [answer, error] = read(request);
      if (error && error.code === "no_access") dispatchEvent(new Event("token-needed"));
      error ? reject(error) : resolve(answer);
    };
    request.send(body);
  });
}

function read(request) {
  let content;
  try {
    content = JSON.parse(request.responseText);
  } catch {
    return [null, new ServiceError("unreadable", `The service gave an answer that cannot be read (${request.status}).`)];
  }
  return content.error ? [null, new ServiceError(content.error.code, content.error.message)] : [content, null];
}

// Requests to the service: the key when one is wanted, errors with everything the service said.
import { askForKey, authorization } from "./key.js";

/** An answer that is an error; `problems` are a refused adapter's. */
export class ServiceError extends Error {
  constructor(status, body) {
    const error = body?.error;
    super(error?.message ?? `the service answered ${status}`);
    this.status = status;
    this.problems = error?.problems ?? [];
  }
}

/** The response to a request, its body not yet read. */
export async function send(method, path, { json, signal, background = false } = {}) {
  for (;;) {
    const headers = { ...authorization(), ...(json === undefined ? {} : { "Content-Type": "application/json" }) };
    const used = headers.Authorization;
    const body = json === undefined ? undefined : JSON.stringify(json);
    const response = await reach(path, { method, headers, body, signal });
    if (response.ok) return response;
    // While this request was under way another may have been given the key already.
    const again = response.status === 401 && (used !== authorization().Authorization || (await askForKey(background)));
    if (!again) throw new ServiceError(response.status, await response.json().catch(() => null));
  }
}

async function reach(path, request) {
  try {
    return await fetch(path, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Error("the service cannot be reached; is it still running?", { cause: error });
  }
}

/** A request's answer as JSON, or null where it is empty. */
export async function call(method, path, more) {
  const response = await send(method, path, more);
  return response.status === 204 ? null : response.json();
}

/** A GET that repeats by itself: it does not ask for a key again once that was declined. */
export const watch = (path) => call("GET", path, { background: true });

/** Posts a form and tells how far it is; fetch cannot say that of what it sends. */
export async function transfer(path, form, onProgress) {
  for (;;) {
    const { status, body } = await post(path, form, onProgress);
    if (status >= 200 && status < 300) return body;
    if (status !== 401 || !(await askForKey(false))) throw new ServiceError(status, body);
  }
}

function post(path, form, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", path);
    for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => onProgress(event.loaded, event.total);
    request.onload = () => resolve({ status: request.status, body: parsed(request.responseText) });
    request.onerror = () => reject(new Error("the connection broke before the service had answered"));
    request.send(form);
  });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

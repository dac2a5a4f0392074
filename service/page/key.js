// The key, asked for only when the service answers 401, and kept in this tab alone.
import { $ } from "./dom.js";

const STORE = "patchbay-key";
let asking = null;
let declined = false;

const stored = () => sessionStorage.getItem(STORE);

/** The header that carries the key, if there is one. */
export const authorization = () => (stored() ? { Authorization: `Bearer ${stored()}` } : {});

/** Asks for a key; false when the person will not give one. What runs in the background asks once and then waits. */
export function askForKey(inBackground) {
  if (declined && inBackground) return Promise.resolve(false);
  asking ??= ask().finally(() => (asking = null));
  return asking;
}

function ask() {
  const dialog = $("key-dialog");
  $("key-reason").textContent = stored() ? "The key that was given is not known here." : "";
  $("key-value").value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) =>
    dialog.addEventListener("close", () => resolve(take(dialog.returnValue === "use" ? $("key-value").value.trim() : "")), {
      once: true,
    }),
  );
}

function take(key) {
  declined = !key;
  if (key) sessionStorage.setItem(STORE, key);
  $("key").hidden = !(key || stored());
  $("key-value").value = "";
  return Boolean(key);
}

/** The button that forgets the key, there only while one is held. */
export function startKey() {
  $("key").hidden = !stored();
  $("key").title = "Forget the key";
  $("key-cancel").addEventListener("click", () => $("key-dialog").close(""));
  $("key").addEventListener("click", () => {
    sessionStorage.removeItem(STORE);
    location.reload();
  });
}

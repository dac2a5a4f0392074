// The lamp in the header: whether the engine answers, and on which base.
import { watch } from "./api.js";
import { catalog } from "./catalog.js";
import { $ } from "./dom.js";

const PAUSE = 3000;

async function look() {
  try {
    const health = await watch("/health");
    return [health.ready ? "ready" : "starting", health.ready ? catalog.base || "ready" : `engine ${health.engine}`];
  } catch (error) {
    return ["failed", error.message];
  }
}

/** Keeps the lamp true while someone looks. */
export async function startState() {
  catalog.addEventListener("change", () => ($("state").dataset.state === "ready" && catalog.base ? ($("state-text").textContent = catalog.base) : null));
  for (;;) {
    if (!document.hidden) {
      const [state, text] = await look();
      $("state").dataset.state = state;
      if ($("state-text").textContent !== text) $("state-text").textContent = text;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

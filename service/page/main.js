// The page's parts, and which of them is shown.
import { startAdapters } from "./adapters.js";
import { catalog } from "./catalog.js";
import { $ } from "./dom.js";
import { startEvaluate } from "./evaluate.js";
import { startKey } from "./key.js";
import { startState } from "./state.js";
import { startTry } from "./try.js";
import { startUpload } from "./upload.js";
import { startWatch } from "./watch.js";

const PARTS = ["try", "adapters", "evaluate", "watch"];

function show() {
  const name = location.hash.slice(1);
  if (name === "content") return;
  const part = PARTS.includes(name) ? name : "try";
  for (const id of PARTS) $(id).hidden = id !== part;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${part}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  scrollTo(0, 0);
  dispatchEvent(new CustomEvent("part", { detail: part }));
}

startKey();
startState();
startTry();
startAdapters();
startUpload();
startEvaluate();
startWatch();
addEventListener("hashchange", show);
show();
catalog.start();

// The same prompt to everything ticked, side by side.
import { Answer } from "./answer.js";
import { catalog } from "./catalog.js";
import { $, arrange, el, notice } from "./dom.js";
import { shortModel } from "./format.js";

const AT_FIRST = 3;
const columns = new Map();
const versions = new Set();
let chosen = null;
let running = null;

/** Adds a version to what answers, and shows the part. */
export function tryModel(model) {
  if (!catalog.ids.includes(model)) versions.add(model);
  chosen ??= new Set();
  chosen.add(model);
  showModels();
  location.hash = "#try";
  $("prompt").focus();
}

function offered() {
  return [...catalog.ids, ...versions];
}

function showModels() {
  chosen ??= catalog.ids.length ? new Set(catalog.ids.filter((id) => id !== "default").slice(0, AT_FIRST)) : null;
  const chips = offered().map((model) => {
    const box = el("input", { type: "checkbox", value: model, checked: chosen?.has(model), onchange: () => toggle(model, box.checked) });
    return el("label.chip", { "data-hue": catalog.hue(model) }, box, el("span", {}, shortModel(model)));
  });
  const focused = document.activeElement?.value;
  $("models").replaceChildren($("models").firstElementChild, ...chips);
  $("models").querySelector(`input[value="${CSS.escape(focused ?? "")}"]`)?.focus();
  showColumns();
}

function toggle(model, on) {
  if (on) chosen.add(model);
  else chosen.delete(model);
  showColumns();
}

function showColumns() {
  const wanted = offered().filter((model) => chosen?.has(model));
  for (const model of columns.keys()) if (!wanted.includes(model)) columns.delete(model);
  for (const model of wanted) if (!columns.has(model)) columns.set(model, new Answer(model));
  arrange($("answers"), wanted.map((model) => columns.get(model).element));
}

async function ask(event) {
  event.preventDefault();
  if (running) return;
  const prompt = $("prompt").value;
  notice($("ask-error"), columns.size ? null : "tick at least one model to answer");
  if (!columns.size) return;
  running = new AbortController();
  $("send").disabled = !($("stop").disabled = false);
  const how = {
    isChat: isChat(),
    maxTokens: $("max-tokens").valueAsNumber,
    temperature: $("temperature").valueAsNumber,
    signal: running.signal,
  };
  if (how.isChat) $("prompt").value = "";
  await Promise.all([...columns.values()].map((column) => column.ask(prompt, how)));
  running = null;
  $("send").disabled = !($("stop").disabled = true);
}

const isChat = () => $("ask").elements.mode.value === "chat";

function clear() {
  for (const column of columns.values()) column.clear();
}

/** Wires the form and its keys. */
export function startTry() {
  catalog.addEventListener("change", () => {
    notice($("ask-error"), catalog.failure);
    showModels();
  });
  $("ask").addEventListener("submit", ask);
  $("ask").addEventListener("change", (event) => event.target.name === "mode" && clear());
  $("clear").addEventListener("click", clear);
  $("stop").addEventListener("click", () => running?.abort());
  $("prompt").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) $("ask").requestSubmit();
  });
  addEventListener("keydown", (event) => event.key === "Escape" && running?.abort());
}

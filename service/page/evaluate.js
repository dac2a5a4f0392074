// Starting an evaluation, and the list of those there are.
import { call, transfer, watch } from "./api.js";
import { catalog } from "./catalog.js";
import { $, arrange, el, notice, options } from "./dom.js";
import { takeFiles } from "./drop.js";
import { EvaluationRow, isPending } from "./evaluation_row.js";
import { showEvaluation } from "./evaluation_view.js";
import { bytes } from "./format.js";
import { showTransfer } from "./progress.js";

const METRICS = ["accuracy", "exact_match", "field_f1", "bleu", "bleu_lower", "chrf", "rouge_l", "perplexity"];
const NOTHING = "-";
const rows = new Map();
let file = null;
let chosen = null;
let next = 0;

function choose([first]) {
  file = first ?? null;
  $("evaluation-chosen").textContent = file ? `${file.name}, ${bytes(file.size)}` : "there is no file in that";
}

/** The rows that were pasted. Throws an error that names the line. */
function pasted() {
  const lines = $("evaluation-rows").value.split("\n").map((line, index) => [line.trim(), index + 1]).filter(([line]) => line);
  if (!lines.length) throw new Error("give rows: drop a file, or paste one JSON object a line");
  return lines.map(([line, number]) => {
    try {
      return JSON.parse(line);
    } catch (error) {
      throw new Error(`line ${number} is no JSON: ${error.message}`, { cause: error });
    }
  });
}

async function request() {
  const baseline = $("evaluation-baseline").value;
  const limit = $("evaluation-limit").valueAsNumber;
  const asked = {
    model: $("evaluation-model").value,
    baseline: baseline === NOTHING ? null : baseline,
    metrics: [...$("evaluation-metrics").querySelectorAll("input:checked")].map((box) => box.value),
    max_tokens: $("evaluation-tokens").valueAsNumber,
    ...(Number.isNaN(limit) ? {} : { limit }),
  };
  if (!file) return { ...asked, rows: pasted() };
  const form = new FormData();
  form.append("purpose", "eval");
  form.append("file", file, file.name);
  return { ...asked, file: (await transfer("/v1/files", form, showTransfer($("evaluation-progress"), "reading the rows…"))).id };
}

async function start(event) {
  event.preventDefault();
  notice($("evaluation-error"), null);
  try {
    chosen = (await call("POST", "/v1/evaluations", { json: await request() })).id;
  } catch (error) {
    notice($("evaluation-error"), error.message);
  } finally {
    $("evaluation-progress").hidden = true;
  }
  await look();
}

async function refresh() {
  let found;
  try {
    found = (await watch("/v1/evaluations")).data;
  } catch (error) {
    notice($("evaluation-error"), error.message);
    return [];
  }
  showList(found);
  return found;
}

/** Refreshes the list while it is looked at, and comes again: soon while something runs, seldom otherwise. */
async function look() {
  const busy = !document.hidden && !$("evaluate").hidden && (await refresh()).some(isPending);
  clearTimeout(next);
  next = setTimeout(look, busy ? 500 : 3000);
}

function showList(found) {
  for (const body of found) if (!rows.has(body.id)) rows.set(body.id, rowOf(body));
  const current = found.find((body) => body.id === chosen) ?? found.find((body) => body.status === "completed");
  for (const body of found) rows.get(body.id).show(body, body === current);
  arrange($("evaluation-list"), found.map((body) => rows.get(body.id).element));
  if (current) showEvaluation($("evaluation-view"), current);
}

const rowOf = (body) => new EvaluationRow(body, { onPick: () => pick(body.id), onCancel: () => stop(body.id) });

async function stop(id) {
  try {
    await call("POST", `/v1/evaluations/${id}/cancel`);
  } catch (error) {
    notice($("evaluation-error"), error.message);
  }
  await refresh();
}

function pick(id) {
  chosen = id;
  refresh();
}

function showModels() {
  const pairs = catalog.ids.map((id) => [id, id]);
  const first = !$("evaluation-model").value;
  options($("evaluation-model"), pairs);
  options($("evaluation-baseline"), [...pairs, [NOTHING, "nothing"]]);
  if (first && catalog.adapters.length) $("evaluation-model").value = catalog.adapters[0].name;
}

/** Wires the form, and keeps the list true. */
export function startEvaluate() {
  catalog.addEventListener("change", showModels);
  $("evaluation-metrics").append(...METRICS.map((name) => el("label.chip", {}, el("input", { type: "checkbox", value: name }), el("span", {}, name.replace("_", " ")))));
  takeFiles($("evaluation-drop"), $("evaluation-file"), choose);
  $("evaluation").addEventListener("submit", start);
  addEventListener("part", (event) => event.detail === "evaluate" && look());
  look();
}

// Latency and memory, live: the service's own metrics, scraped while someone looks.
import { send } from "./api.js";
import { catalog } from "./catalog.js";
import { Chart } from "./chart.js";
import { $, el, notice, options } from "./dom.js";
import { byLabel, parse, quantile, sum } from "./exposition.js";
import { bytes, figure, seconds, tidy } from "./format.js";

const [PAUSE, WINDOW, KEPT] = [2000, 30, 300];
const FIRST = "patchbay_time_to_first_token_seconds";
const WHOLE = "patchbay_request_duration_seconds";
const MEMORY = "patchbay_memory_bytes";
const LATENCY = [
  { label: "first token, median", colour: "--line-1", of: [0.5, FIRST] },
  { label: "first token, p95", colour: "--line-2", of: [0.95, FIRST] },
  { label: "whole answer, median", colour: "--line-3", of: [0.5, WHOLE] },
  { label: "whole answer, p95", colour: "--line-4", of: [0.95, WHOLE] },
];
const TOKENS = [
  { label: "written", colour: "--line-1", kind: "completion" },
  { label: "read", colour: "--line-3", kind: "prompt" },
];
// Memory of the accelerator is apart from the processes' own; the rest adds up to what the service holds.
const APART = ["device"];
const scrapes = [];
let started = false;
const charts = {};

/** The scrape to compare `scrape` with: the oldest within the window before it. */
const before = (scrape) => scrapes.find((other) => other.time >= scrape.time - WINDOW);

function rate(scrape, name, wanted) {
  const earlier = before(scrape);
  const passed = scrape.time - earlier.time;
  return passed ? (sum(scrape.samples, name, wanted) - sum(earlier.samples, name, wanted)) / passed : null;
}

const wanted = () => ($("watch-adapter").value ? { adapter: $("watch-adapter").value } : {});

function show() {
  if (!scrapes.length || $("watch").hidden) return;
  const times = scrapes.map((scrape) => scrape.time);
  const quantiles = LATENCY.map(({ of: [q, name] }) => scrapes.map((scrape) => quantile(q, before(scrape).samples, scrape.samples, name, wanted())));
  charts.latency.show(LATENCY, times, quantiles);
  charts.tokens.show(TOKENS, times, TOKENS.map(({ kind }) => scrapes.map((scrape) => rate(scrape, "patchbay_tokens_total", { ...wanted(), kind }))));
  showMemory(times);
  showTiles(quantiles);
}

function showMemory(times) {
  const memory = scrapes.map((scrape) => byLabel(scrape.samples, MEMORY, "part"));
  const parts = Object.keys(memory.at(-1)).filter((part) => !APART.includes(part));
  const lines = parts.map((part, index) => ({ label: part.replace("_", " "), colour: `--line-${(index % 6) + 1}` }));
  charts.memory.show(lines, times, parts.map((part) => memory.map((one) => one[part] ?? 0)));
}

const held = (samples) => sum(samples, MEMORY) - APART.reduce((total, part) => total + sum(samples, MEMORY, { part }), 0);

function showTiles(quantiles) {
  const { samples } = scrapes.at(-1);
  const tiles = [
    ["Engine", sum(samples, "patchbay_engine_up") ? "up" : "down"],
    ["Requests/s", figure(rate(scrapes.at(-1), `${WHOLE}_count`, wanted()))],
    ["First token, p95", seconds(quantiles[1].at(-1))],
    ["Tokens written/s", figure(rate(scrapes.at(-1), "patchbay_tokens_total", { ...wanted(), kind: "completion" }))],
    ["Memory", bytes(held(samples))],
    ["Adapters resident", String(sum(samples, "patchbay_adapter_resident"))],
    ["Engine restarts", String(sum(samples, "patchbay_engine_restarts_total"))],
  ];
  $("tiles").replaceChildren(...tiles.map(([name, value]) => el("div.tile", {}, el("span", {}, name), el("strong", {}, value))));
}

async function scrape() {
  try {
    const text = await (await send("GET", "/metrics", { background: true })).text();
    scrapes.push({ time: Date.now() / 1000, samples: parse(text) });
    if (scrapes.length > KEPT) scrapes.shift();
    notice($("watch-error"), null);
  } catch (error) {
    notice($("watch-error"), error.message);
  }
  show();
}

const decades = (from, to) => Array.from({ length: to - from }, (_, index) => [1, 2, 5].map((factor) => factor * 10 ** (from + index))).flat();

/** Scrapes from the first time the part is looked at, so that a look elsewhere leaves no gap. */
export function startWatch() {
  charts.latency = new Chart("Latency", { format: seconds, least: 0.1, steps: decades(-4, 3) });
  charts.tokens = new Chart("Tokens a second", { format: tidy, least: 10, steps: decades(0, 6) });
  charts.memory = new Chart("Memory", { format: bytes, least: 2 ** 20, steps: Array.from({ length: 40 }, (_, power) => 2 ** power), stacked: true });
  $("charts").append(...Object.values(charts).map((chart) => chart.element));
  catalog.addEventListener("change", () => options($("watch-adapter"), [["", "all"], ...catalog.ids.filter((id) => id !== "default").map((id) => [id, id])]));
  $("watch-adapter").addEventListener("change", show);
  addEventListener("part", (event) => event.detail === "watch" && (started ? show() : run()));
}

async function run() {
  started = true;
  for (;;) {
    if (!document.hidden) await scrape();
    await new Promise((resolve) => setTimeout(resolve, PAUSE));
  }
}

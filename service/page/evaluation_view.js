// One evaluation: the figures before and after, and the samples behind them.
import { call } from "./api.js";
import { el } from "./dom.js";
import { figure, shortModel } from "./format.js";
import { intervalPlot } from "./interval_plot.js";
import { sampleList } from "./samples.js";

/** Draws `body` into `target`, once for each state it is in. */
export function showEvaluation(target, body) {
  const state = `${body.id} ${body.status}`;
  if (target.dataset.state === state) return;
  target.dataset.state = state;
  if (body.status !== "completed") target.replaceChildren();
  else showCompleted(target, body);
}

async function showCompleted(target, body) {
  const samples = el("div", {}, el("p.hint", {}, "Reading the samples…"));
  target.replaceChildren(
    el("section.panel", { "aria-label": "Scores" }, el("h2", {}, "Scores"), legend(body), intervalPlot(body.scores), table(body)),
    el("section.panel", { "aria-label": "Samples" }, el("h2", {}, "Samples"), samples),
  );
  try {
    const { data } = await call("GET", `/v1/evaluations/${body.id}/samples`);
    samples.replaceChildren(sampleList(data, body));
  } catch (error) {
    samples.replaceChildren(el("p.notice.bad", { role: "alert" }, error.message));
  }
}

function legend(body) {
  const parts = [el("span.key.after", {}, `${shortModel(body.model)}, with its 95% interval`)];
  if (body.baseline) parts.unshift(el("span.key.before", {}, shortModel(body.baseline)));
  return el("p.legend", {}, parts);
}

function table(body) {
  const names = ["Metric", "Before", "After", "95% interval", "Difference", "95% interval", "p", "Verdict", "Detectable"];
  const rows = Object.entries(body.scores).map(([metric, s]) =>
    el(
      "tr",
      {},
      el("th", { scope: "row" }, metric),
      el("td", {}, figure(s.baseline)),
      el("td", {}, figure(s.value)),
      el("td", {}, between(s.low, s.high)),
      el("td", {}, signed(s.difference)),
      el("td", {}, between(s.difference_low, s.difference_high)),
      el("td", {}, s.p === null || s.p === undefined ? "–" : s.p < 0.001 ? "< 0.001" : s.p.toFixed(3)),
      el("td", { "data-verdict": body.verdicts?.[metric] }, body.verdicts?.[metric] ?? "–"),
      el("td", { title: "The least true difference that this many rows would show four times in five" }, figure(body.detectable?.[metric])),
    ),
  );
  const head = el("thead", {}, el("tr", {}, names.map((name) => el("th", { scope: "col" }, name))));
  return el("div.wide", {}, el("table.figures-table", {}, head, el("tbody", {}, rows)));
}

const between = (low, high) => (low === null || low === undefined ? "–" : `${figure(low)} to ${figure(high)}`);
const signed = (value) => (value > 0 ? `+${figure(value)}` : figure(value));

// The items of an evaluation: those whose answer changed first, with what was wanted, before and after.
import { el } from "./dom.js";
import { figure } from "./format.js";

const PAGE = 20;
const LOWER_IS_BETTER = new Set(["perplexity"]);

/** A list with a choice of which samples are shown. */
export function sampleList(samples, body) {
  const metric = body.metrics[0];
  const kinds = body.baseline ? kindsOf(metric) : [["all", () => true]];
  const select = el("select", { "aria-label": "Which samples", onchange: () => show(PAGE) });
  select.append(...kinds.map(([name, fits]) => el("option", {}, `${name} (${samples.filter(fits).length})`)));
  const list = el("div.samples");
  const show = (count) => {
    const fitting = samples.filter(kinds[select.selectedIndex][1]);
    const more = el("button", { type: "button", onclick: () => show(count + PAGE) }, `Show more of ${fitting.length}`);
    list.replaceChildren(...fitting.slice(0, count).map((sample) => shown(sample, body)), ...(fitting.length > count ? [more] : []));
    if (!fitting.length) list.replaceChildren(el("p.empty", {}, "None."));
  };
  show(PAGE);
  return el("div", {}, el("label.field.inline", {}, "Show ", select), list);
}

function kindsOf(metric) {
  const gain = ({ metrics }) => {
    const { value, baseline } = metrics[metric] ?? {};
    return LOWER_IS_BETTER.has(metric) ? baseline - value : value - baseline;
  };
  return [
    ["changed", (sample) => (sample.output === null ? gain(sample) !== 0 : sample.output !== sample.baseline_output)],
    [`better by ${metric}`, (sample) => gain(sample) > 0],
    [`worse by ${metric}`, (sample) => gain(sample) < 0],
    ["all", () => true],
  ];
}

function shown(sample, body) {
  const figures = Object.entries(sample.metrics).map(([metric, { value, baseline }]) =>
    el("span", {}, `${metric} ${body.baseline ? `${figure(baseline)} → ` : ""}${figure(value)}`),
  );
  const parts = [["Prompt", asText(sample.prompt)], ["Wanted", sample.references.join("\n")]];
  if (body.baseline && sample.baseline_output !== null) parts.push(["Before", sample.baseline_output]);
  if (sample.output !== null) parts.push([body.baseline ? "After" : "Answer", sample.output]);
  return el(
    "article.sample",
    {},
    el("p.hint", {}, `row ${sample.index + 1}`, ...figures),
    el("dl", {}, parts.filter(([, text]) => text).map(([name, text]) => el("div", { "data-part": name }, el("dt", {}, name), el("dd", {}, text)))),
  );
}

/** A conversation as lines. */
const asText = (prompt) => (typeof prompt === "string" ? prompt : prompt.map((turn) => `${turn.role}: ${turn.content}`).join("\n"));

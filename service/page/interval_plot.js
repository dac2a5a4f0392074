// Before and after with intervals: a line for each metric on a scale of its own, since an accuracy and a perplexity share none.
import { figure } from "./format.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const [ROW, FROM, TO] = [74, 3, 97];

const svg = (name, attributes, ...children) => {
  const made = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
};
const isThere = (value) => value !== null && value !== undefined;

/** An SVG of `{metric: {value, low, high, baseline}}` as wide as its place; the table beside it says the same in figures. */
export function intervalPlot(scores) {
  const metrics = Object.entries(scores).filter(([, score]) => isThere(score.value));
  const rows = metrics.flatMap(([metric, score], index) => row(metric, score, index * ROW));
  const label = "Scores before and after with 95% intervals; the table below holds the same figures";
  return svg("svg", { class: "intervals", height: metrics.length * ROW, role: "img", "aria-label": label }, ...rows);
}

/** Places are in per cent of the width, so that nothing is stretched or shrunk with it. */
function row(metric, { value, low, high, baseline }, top) {
  const points = [value, low, high, baseline].filter(isThere);
  const ticks = ticksFor(Math.min(...points), Math.max(...points));
  const [first, last] = [ticks[0], ticks.at(-1)];
  const x = (at) => `${FROM + ((at - first) / (last - first)) * (TO - FROM)}%`;
  const y = top + 32;
  return [
    svg("text", { class: "name", x: 0, y: top + 13 }, metric),
    line("axis", x(first), x(last), y + 12),
    ...ticks.flatMap((tick) => [stroke("axis", x(tick), y + 12, y + 16), svg("text", { class: "tick", x: x(tick), y: y + 28 }, shown(tick, ticks[1] - first))]),
    ...(isThere(baseline) ? [line("change", x(baseline), x(value), y), mark("before", x(baseline), y, baseline)] : []),
    ...(isThere(low) ? [line("interval", x(low), x(high), y), stroke("interval", x(low), y - 6, y + 6), stroke("interval", x(high), y - 6, y + 6)] : []),
    mark("after", x(value), y, value),
  ];
}

const line = (kind, x1, x2, y) => svg("line", { class: kind, x1, x2, y1: y, y2: y });
const stroke = (kind, x, y1, y2) => svg("line", { class: kind, x1: x, x2: x, y1, y2 });
const mark = (kind, cx, cy, value) => svg("circle", { class: kind, cx, cy, r: 6 }, svg("title", {}, `${kind}: ${figure(value)}`));

/** Round numbers from at or below `low` to at or above `high`, about five of them. */
function ticksFor(low, high) {
  const span = high - low || Math.abs(high) || 1;
  const power = 10 ** Math.floor(Math.log10(span / 4));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => span / size <= 5);
  const first = Math.floor(low / step);
  const count = Math.max(1, Math.ceil(high / step) - first);
  return Array.from({ length: count + 1 }, (_, index) => (first + index) * step);
}

const shown = (tick, step) => tick.toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));

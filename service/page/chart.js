// Lines over time by uPlot, in the page's colours and at the page's width.
/* global uPlot */
import { el } from "./dom.js";

const HEIGHT = 190;
const CLOCK = [1, 2, 5, 10, 15, 30, 60, 120, 300];
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** A chart of `lines` [{label, colour: a CSS variable}]; `format` shows a value, the scale goes
 * to `least` or further in `steps` that suit the unit, and `stacked` heaps the lines and fills them. */
export class Chart {
  #plot = null;
  #data = null;

  constructor(title, { format, least, steps, stacked = false }) {
    Object.assign(this, { format, least, steps, stacked, lines: [] });
    this.body = el("div.plot");
    this.values = el("ul.legend");
    this.element = el("figure.panel", {}, el("figcaption", {}, title), this.values, this.body);
    new ResizeObserver(() => this.#plot?.setSize({ width: this.body.clientWidth, height: HEIGHT })).observe(this.body);
    addEventListener("theme", () => this.#build());
  }

  /** Shows `rows`, one array of values a line, over `times` in seconds. */
  show(lines, times, rows) {
    const same = JSON.stringify(lines) === JSON.stringify(this.lines);
    this.lines = lines;
    this.#data = [times, ...(this.stacked ? heaped(rows) : rows)];
    if (same && this.#plot) this.#plot.setData(this.#data);
    else this.#build();
    const last = rows.map((row) => row.at(-1) ?? null);
    this.values.replaceChildren(...lines.map((line, index) => el("li", { "data-line": line.colour.slice(2) }, el("span.dot"), `${line.label} `, el("b", {}, this.format(last[index])))));
  }

  #build() {
    this.#plot?.destroy();
    this.#plot = null;
    if (!this.#data || !this.body.clientWidth) return;
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 }, font: "12px system-ui" };
    const series = this.lines.map((line) => ({
      label: line.label,
      stroke: colour(line.colour),
      width: 2,
      points: { show: (plot) => !this.stacked && plot.data[0].length < 3 },
      ...(this.stacked ? { fill: colour(line.colour), width: 0 } : {}),
    }));
    this.#plot = new uPlot(
      {
        width: this.body.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { y: false },
        scales: { y: { range: (_, low, high) => [0, Math.max((high ?? 0) * 1.1, this.least)] } },
        axes: [
          { ...axis, size: 32, space: 90, incrs: CLOCK, values: (_, ticks) => ticks.map(clock) },
          { ...axis, size: 68, incrs: this.steps, values: (_, ticks) => ticks.map(this.format) },
        ],
        series: [{}, ...series],
      },
      this.#data,
      this.body,
    );
  }
}

const clock = (time) => new Date(time * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

/** Each row on top of those after it, so that the first drawn is the whole. */
function heaped(rows) {
  const sums = new Array(rows[0]?.length ?? 0).fill(0);
  const heaps = [];
  for (const row of [...rows].reverse()) {
    row.forEach((value, index) => (sums[index] += value ?? 0));
    heaps.unshift([...sums]);
  }
  return heaps;
}

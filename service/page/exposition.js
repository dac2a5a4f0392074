// Prometheus' text format, as far as this page needs it: our own series, rates and quantiles between two scrapes.

const LINE = /^(patchbay_\w+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;
const ESCAPED = { "\\n": "\n", '\\"': '"', "\\\\": "\\" };

/** Our samples in a scrape: [{name, labels, value}]. */
export function parse(text) {
  const samples = [];
  for (const line of text.split("\n")) {
    const found = LINE.exec(line);
    if (!found) continue;
    const labels = {};
    for (const [, key, value] of (found[2] ?? "").matchAll(LABEL)) labels[key] = value.replace(/\\[n"\\]/g, (part) => ESCAPED[part]);
    samples.push({ name: found[1], labels, value: Number(found[3]) });
  }
  return samples;
}

const fits = (labels, wanted) => Object.entries(wanted).every(([key, value]) => labels[key] === value);

/** The sum of a series over everything that `wanted` leaves open. */
export function sum(samples, name, wanted = {}) {
  return samples.reduce((total, sample) => (sample.name === name && fits(sample.labels, wanted) ? total + sample.value : total), 0);
}

/** Values of a gauge by one of its labels. */
export function byLabel(samples, name, label) {
  return Object.fromEntries(samples.filter((sample) => sample.name === name).map((sample) => [sample.labels[label], sample.value]));
}

/** A quantile of what a histogram observed between two scrapes, as Prometheus computes it; null when that was nothing. */
export function quantile(q, before, after, name, wanted = {}) {
  const bounds = new Map();
  for (const [samples, sign] of [[before, -1], [after, 1]])
    for (const sample of samples)
      if (sample.name === `${name}_bucket` && fits(sample.labels, wanted)) {
        const bound = sample.labels.le === "+Inf" ? Infinity : Number(sample.labels.le);
        bounds.set(bound, (bounds.get(bound) ?? 0) + sign * sample.value);
      }
  const buckets = [...bounds].sort(([a], [b]) => a - b);
  const rank = q * (buckets.at(-1)?.[1] ?? 0);
  if (!(rank > 0)) return null;
  const index = buckets.findIndex(([, count]) => count >= rank);
  const [low, below] = index ? buckets[index - 1] : [0, 0];
  const [high, count] = buckets[index];
  return high === Infinity ? low : low + ((high - low) * (rank - below)) / (count - below);
}

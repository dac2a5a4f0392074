// How figures and names look, the same everywhere.

/** The first twelve hex digits of a digest. */
export const short = (digest) => digest.replace("sha256:", "").slice(0, 12);

/** A model id with its digest shortened. */
export const shortModel = (model) => {
  const [name, digest] = model.split("@");
  return digest ? `${name}@${short(digest)}` : name;
};

/** Bytes as a person reads them. */
export function bytes(count) {
  if (count === null || count === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  for (; count >= 1024 && unit < units.length - 1; unit++) count /= 1024;
  return `${unit && count < 100 ? Number(count.toFixed(1)) : Math.round(count)} ${units[unit]}`;
}

/** Seconds as ms or s. */
export function seconds(value) {
  if (value === null || value === undefined) return "–";
  if (!value) return "0 ms";
  return value < 1 ? `${(value * 1000).toFixed(value < 0.01 ? 1 : 0)} ms` : `${value.toFixed(2)} s`;
}

/** A figure with as many digits as it deserves. */
export function figure(value) {
  if (value === null || value === undefined) return "–";
  const size = Math.abs(value);
  if (!size) return "0";
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3).replace("-", "−");
}

/** A figure with one decimal where it has one. */
export const tidy = (value) => (value === null || value === undefined ? "–" : String(Number(value.toFixed(1))));

/** A moment, in the reader's own zone. */
export const moment = (text) => new Date(text).toLocaleString([], { dateStyle: "medium", timeStyle: "short" });

export const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

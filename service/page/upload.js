// Uploading an adapter: what was chosen, how far it is, and what the service says of it, every problem of a refusal included.
import { transfer } from "./api.js";
import { catalog } from "./catalog.js";
import { $, el } from "./dom.js";
import { takeFiles } from "./drop.js";
import { bytes, plural, short } from "./format.js";
import { showTransfer } from "./progress.js";

const ARCHIVE = /\.(zip|tar|tar\.gz|tgz)$/i;
let files = [];

function choose(found) {
  // A folder holds more than an adapter (a trainer's state, a log): only what the service takes is sent from it.
  const known = catalog.limits.files ?? [];
  const fit = found.filter((file) => known.includes(file.name));
  files = fit.some((file) => file.name === "adapter_config.json") ? fit : found;
  const left = found.filter((file) => !files.includes(file)).map((file) => file.name);
  const size = files.reduce((sum, file) => sum + file.size, 0);
  const names = files.map((file) => file.name).join(", ");
  $("chosen").hidden = false;
  $("chosen").textContent = files.length
    ? `${plural(files.length, "file")}, ${bytes(size)}: ${names}` + (left.length ? ` (left out: ${left.join(", ")})` : "")
    : "There is no adapter_config.json in that folder; drop the folder that holds the adapter.";
  if (files.length === 1 && !$("upload-name").value) $("upload-name").value = nameFrom(files[0].name);
  $("upload-result").replaceChildren();
}

const nameFrom = (name) => name.replace(ARCHIVE, "").replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[^A-Za-z0-9]+/, "").slice(0, 64);

function formOf() {
  const form = new FormData();
  form.append("name", $("upload-name").value.trim());
  if ($("upload-live").checked) form.append("live", "true");
  if ($("upload-accept").checked) form.append("accept_base", "true");
  if (files.length === 1 && ARCHIVE.test(files[0].name)) form.append("archive", files[0]);
  else for (const file of files) form.append("files", file, file.name);
  return form;
}

async function upload(event) {
  event.preventDefault();
  if (!files.length) return showRefusal(new Error("choose an adapter first: drop its folder, its files or an archive above"));
  $("upload-send").disabled = true;
  $("upload-result").replaceChildren();
  const progress = showTransfer($("upload-progress"), "checking it and proving it on the engine…");
  try {
    showTaken(await transfer("/v1/adapters", formOf(), progress));
    files = [];
    $("chosen").hidden = true;
    $("upload-name").value = "";
  } catch (error) {
    showRefusal(error);
  } finally {
    $("upload-progress").hidden = true;
    $("upload-send").disabled = false;
  }
  return catalog.refresh();
}

function showTaken(manifest) {
  const difference = manifest.probe?.mean_difference;
  const proof = difference === undefined || difference === null ? "" : `, ${difference} nats a token from what PEFT recorded`;
  const live = manifest.live ? "It is live." : "It is not live yet: promote it below.";
  const warnings = manifest.warnings.map((text) => el("p.notice.bad", { role: "alert" }, `Warning: ${text}`));
  $("upload-result").replaceChildren(el("p.notice.good", {}, `${manifest.name}@${short(manifest.version)} is taken: ${manifest.status}${proof}. ${live}`), ...warnings);
}

function showRefusal(error) {
  const problems = error.problems ?? [];
  const items = problems.map((problem) => el("li", {}, el("code", {}, problem.code), " ", problem.where ? el("strong", {}, problem.where) : null, " ", problem.message));
  const head = problems.length ? `Refused for ${plural(problems.length, "reason")}:` : error.message;
  $("upload-result").replaceChildren(el("div.notice.bad", { role: "alert" }, el("p", {}, head), items.length ? el("ul", {}, items) : null));
}

/** Wires the form. */
export function startUpload() {
  takeFiles($("drop"), $("upload-files"), choose);
  $("upload").addEventListener("submit", upload);
}

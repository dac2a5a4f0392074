// The list of adapters and the default route.
import { AdapterCard } from "./adapter_card.js";
import { call } from "./api.js";
import { catalog } from "./catalog.js";
import { $, arrange, el, notice, options } from "./dom.js";

const NONE = el("p.empty", {}, "No adapters yet. The first version that is uploaded under a name goes live by itself.");
const cards = new Map();

function show() {
  notice($("adapters-error"), catalog.failure);
  options($("default-route"), [["", `${catalog.base} (the base)`], ...catalog.adapters.filter((a) => a.live).map((a) => [a.name, a.name])]);
  $("default-route").value = catalog.route ?? "";
  for (const name of cards.keys()) if (!catalog.adapters.some((adapter) => adapter.name === name)) cards.delete(name);
  for (const adapter of catalog.adapters) {
    if (!cards.has(adapter.name)) cards.set(adapter.name, new AdapterCard());
    cards.get(adapter.name).show(adapter);
  }
  const elements = catalog.adapters.map((adapter) => cards.get(adapter.name).element);
  arrange($("adapter-list"), elements.length ? elements : [NONE]);
}

async function route() {
  notice($("route-error"), null);
  try {
    await call("PUT", "/v1/default", { json: { adapter: $("default-route").value || null } });
  } catch (error) {
    notice($("route-error"), error.message);
    $("default-route").value = catalog.route ?? "";
  }
  await catalog.refresh();
}

/** Keeps the list in step with the catalog. */
export function startAdapters() {
  catalog.addEventListener("change", show);
  $("default-route").addEventListener("change", route);
}

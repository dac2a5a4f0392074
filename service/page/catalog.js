// What the service has now: its base, models, adapters and default route. Parts of the page listen for changes.
import { watch } from "./api.js";

const PAUSE = 4000;
const HUES = 8;

class Catalog extends EventTarget {
  base = "";
  models = [];
  adapters = [];
  route = null;
  limits = {};
  failure = null;
  #seen = "";
  #hues = new Map();

  /** Every model id that may be asked for, the base first. */
  get ids() {
    return this.models.map((model) => model.id);
  }

  /** Colour of a model id, the same wherever it is shown. */
  hue(model) {
    const name = model.split("@")[0];
    if (name === this.base || name === "default") return name === "default" ? name : "base";
    if (!this.#hues.has(name)) this.#hues.set(name, String(this.#hues.size % HUES));
    return this.#hues.get(name);
  }

  /** Asks the service again; listeners hear of it only when something is different. */
  async refresh() {
    try {
      const [version, models, adapters, route] = await Promise.all([watch("/version"), watch("/v1/models"), watch("/v1/adapters"), defaultRoute()]);
      this.#take({ base: version.base.id, limits: version.limits, models: models.data, adapters: adapters.data, route });
    } catch (error) {
      this.#take({ failure: error.message });
    }
  }

  #take(found) {
    const text = JSON.stringify(found);
    if (text === this.#seen) return;
    this.#seen = text;
    Object.assign(this, { failure: null }, found);
    this.dispatchEvent(new Event("change"));
  }

  /** Keeps itself up to date while someone looks. */
  async start() {
    for (;;) {
      if (!document.hidden) await this.refresh();
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  }
}

/** The adapter's name, or null for the base; null also where the key may not know it. */
async function defaultRoute() {
  try {
    return (await watch("/v1/default")).adapter;
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

export const catalog = new Catalog();

// One adapter: its versions with what can be done to them, and what happened to it.
import { call } from "./api.js";
import { catalog } from "./catalog.js";
import { el, notice, sure } from "./dom.js";
import { bytes, moment, plural, short } from "./format.js";
import { tryModel } from "./try.js";

/** A card that redraws itself only when its adapter changed, and keeps the focus where it was. */
export class AdapterCard {
  #seen = "";

  constructor() {
    this.head = el("header");
    this.rows = el("tbody");
    this.error = el("p.notice.bad", { role: "alert", hidden: true });
    this.history = el("ol.history");
    this.details = el("details", { ontoggle: () => this.#showHistory() }, el("summary", {}, "What happened"), this.history);
    const head = ["Version", "Proof", "Rank", "Size", "Came", ""].map((name) => el("th", { scope: "col" }, name));
    const table = el("table.versions", {}, el("thead", {}, el("tr", {}, head)), this.rows);
    this.element = el("article.panel.adapter", {}, this.head, this.error, el("div.wide", {}, table), this.details);
  }

  /** Draws the adapter as it is now. */
  show(adapter) {
    this.element.dataset.hue = catalog.hue(adapter.name);
    const text = JSON.stringify(adapter);
    if (text === this.#seen) return;
    this.#seen = text;
    this.name = adapter.name;
    this.path = `/v1/adapters/${encodeURIComponent(adapter.name)}`;
    const focused = this.element.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
    this.element.setAttribute("aria-label", `Adapter ${adapter.name}`);
    this.head.replaceChildren(...this.#headOf(adapter));
    this.rows.replaceChildren(...adapter.versions.map((version) => this.#rowOf(adapter, version)));
    if (focused) this.element.querySelector(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
    this.#showHistory();
  }

  #headOf(adapter) {
    const marks = ["default", "pinned", "resident"].filter((mark) => adapter[mark]);
    const buttons = [
      this.#button("Try", `Try ${adapter.name}`, () => tryModel(adapter.name), { disabled: !adapter.live }),
      this.#button("Roll back", `Roll ${adapter.name} back to ${short(adapter.previous ?? "")}`, () => this.#promote(adapter.previous), {
        disabled: !adapter.previous,
        title: adapter.previous ? `to ${short(adapter.previous)}` : "there is no version to go back to",
      }),
      this.#button(adapter.pinned ? "Unpin" : "Pin", `${adapter.pinned ? "Unpin" : "Pin"} ${adapter.name}`, () =>
        this.#do("PUT", "/pinned", { pinned: !adapter.pinned }),
      ),
      this.#button(adapter.resident ? "Unload" : "Load", `${adapter.resident ? "Unload" : "Load"} ${adapter.name}`, () =>
        this.#do("POST", adapter.resident ? "/unload" : "/load"),
      ),
      this.#button("Delete", `Delete ${adapter.name}`, () => this.#delete("", `Delete ${adapter.name} and its ${plural(adapter.versions.length, "version")}?`)),
    ];
    return [
      el("h2", {}, el("span.dot", { "aria-hidden": "true" }), adapter.name),
      el("p.marks", {}, marks.map((mark) => el("span.mark", {}, mark))),
      el("div.actions", {}, buttons),
    ];
  }

  #rowOf(adapter, version) {
    const id = short(version.version);
    const live = version.version === adapter.live;
    const actions = [
      live ? null : this.#button("Promote", `Promote ${adapter.name} ${id}`, () => this.#promote(version.version)),
      live ? null : this.#button("Try", `Try ${adapter.name} ${id}`, () => tryModel(`${adapter.name}@${version.version}`)),
      live ? null : this.#button("Delete", `Delete ${adapter.name} ${id}`, () => this.#delete(`/versions/${version.version}`, `Delete version ${id} of ${adapter.name}?`)),
    ];
    return el(
      "tr",
      { class: live ? "live" : null },
      el("td", {}, el("code", { title: version.version }, id), live ? el("span.mark.on", {}, "live") : null),
      el("td", {}, version.status),
      el("td", { "data-name": "rank" }, String(version.rank)),
      el("td", {}, bytes(version.tensor_bytes)),
      el("td", {}, el("time", { datetime: version.created }, moment(version.created))),
      el("td.actions", {}, actions),
    );
  }

  #button(text, label, onclick, more = {}) {
    return el("button.small", { type: "button", "aria-label": label, onclick, ...more }, text);
  }

  #promote(version) {
    return this.#do("PUT", "/live", { version });
  }

  async #delete(rest, question) {
    if (await sure(question)) await this.#do("DELETE", rest);
  }

  async #do(method, rest, json) {
    notice(this.error, null);
    this.element.setAttribute("aria-busy", "true");
    try {
      await call(method, this.path + rest, { json });
    } catch (error) {
      notice(this.error, error.message);
    } finally {
      this.element.removeAttribute("aria-busy");
    }
    await catalog.refresh();
  }

  async #showHistory() {
    if (!this.details.open) return;
    try {
      const { events } = await call("GET", this.path);
      this.history.replaceChildren(...events.map((event) => el("li", {}, el("time", { datetime: event.at }, moment(event.at)), ` ${event.action} `, change(event), ` by ${event.actor}`)));
    } catch (error) {
      this.history.replaceChildren(el("li", {}, error.message));
    }
  }
}

const change = ({ from, to }) => el("code", {}, `${named(from)} → ${named(to)}`);
const named = (text) => (text ? (text.startsWith("sha256:") ? short(text) : text) : "–");

// One evaluation in the list. The row stays the same element while its figures change, so that a press on it is never lost.
import { el } from "./dom.js";
import { moment, plural, shortModel } from "./format.js";

const PENDING = ["queued", "running"];
export const isPending = (body) => PENDING.includes(body.status);

/** A row; `onPick` and `onCancel` are called when the person asks for that. */
export class EvaluationRow {
  constructor(body, { onPick, onCancel }) {
    const pair = `${shortModel(body.model)} ${body.baseline ? `against ${shortModel(body.baseline)}` : "by itself"}`;
    this.pick = el("button.pick", { type: "button", onclick: onPick }, pair);
    this.bar = el("progress", { "aria-label": "Progress" });
    this.state = el("span.outcome");
    this.cancel = el("button.small", { type: "button", onclick: onCancel, "aria-label": `Cancel ${pair}` }, "Cancel");
    const came = el("time", { datetime: body.created }, moment(body.created));
    this.element = el("div.item", {}, this.pick, el("span", {}, plural(body.n, "row")), came, this.bar, this.state, this.cancel);
  }

  /** Shows how far it is. */
  show(body, isPicked) {
    const { done, total } = body.progress;
    this.element.dataset.status = body.status;
    this.pick.setAttribute("aria-pressed", String(isPicked));
    this.bar.hidden = this.cancel.hidden = !isPending(body);
    this.bar.max = total;
    this.bar.value = done;
    this.state.textContent = isPending(body) ? `${body.status}, ${done} of ${total}` : body.error ? `${body.status}: ${body.error.message}` : body.status;
  }
}

// One model's column beside the others: what it was asked, what it answers, and the figures under it.
import { catalog } from "./catalog.js";
import { el } from "./dom.js";
import { figure, seconds, shortModel } from "./format.js";
import { answer } from "./stream.js";

const FIGURES = [
  ["First token", (made) => seconds(made.first)],
  ["Latency", (made) => seconds(made.seconds)],
  ["Tokens", (made) => made.tokens ?? "–"],
  ["Tokens/s", (made) => figure(made.rate)],
];

/** A column; `ask` may be called again, and in a chat each call adds a turn. */
export class Answer {
  #messages = [];

  constructor(model) {
    this.model = model;
    this.text = el("div.text", { role: "log", "aria-label": `Answer of ${model}` });
    this.version = el("span.version", { title: "The version that answered" }, " ");
    this.figures = FIGURES.map(([name]) => el("div", {}, el("dt", {}, name), el("dd", {}, "–")));
    this.element = el(
      "article.answer",
      { "data-hue": catalog.hue(model), "aria-label": model },
      el("h2", {}, el("span.dot", { "aria-hidden": "true" }), shortModel(model)),
      this.text,
      el("footer", {}, el("dl.figures", {}, this.figures), this.version),
    );
  }

  /** Sends the prompt and shows the answer as it comes. Never throws: an error is shown where the answer would be. */
  async ask(prompt, { isChat, ...how }) {
    if (!isChat) this.clear();
    const input = isChat ? [...this.#messages, { role: "user", content: prompt }] : prompt;
    const output = el("p.output");
    this.text.append(...(isChat ? [el("p.turn", {}, prompt), output] : [output]));
    this.element.setAttribute("aria-busy", "true");
    this.#show({});
    try {
      const made = await answer({ ...how, model: this.model, input, onText: (piece) => this.#write(output, piece) });
      if (isChat) this.#messages = [...input, { role: "assistant", content: output.textContent }];
      if (!output.textContent) output.append(el("em", {}, "an empty answer"));
      this.#show(made);
    } catch (error) {
      const stopped = error.name === "AbortError";
      output.after(el(stopped ? "p.hint" : "p.notice.bad", { role: stopped ? null : "alert" }, stopped ? "stopped" : error.message));
    } finally {
      this.element.removeAttribute("aria-busy");
    }
  }

  /** Forgets the conversation. */
  clear() {
    this.#messages = [];
    this.text.replaceChildren();
    this.#show({});
  }

  #write(output, piece) {
    const atEnd = this.text.scrollHeight - this.text.scrollTop - this.text.clientHeight < 40;
    // A completion begins with the space between it and the prompt.
    output.append(output.textContent ? piece : piece.trimStart());
    if (atEnd) this.text.scrollTop = this.text.scrollHeight;
  }

  #show(made) {
    this.version.textContent = made.version ? shortModel(made.version) : " ";
    this.version.title = made.version ?? "";
    for (const [index, [, value]] of FIGURES.entries()) this.figures[index].lastChild.textContent = value(made);
  }
}

// Elements from data. Texts become text nodes and nothing else, so no answer, name or message is ever read as markup.

export const $ = (id) => document.getElementById(id);

/** An element; `on…` attributes are listeners, true and false set or leave out, children are elements or texts. */
export function el(tag, attributes = {}, ...children) {
  const [name, ...classes] = tag.split(".");
  const made = document.createElement(name);
  if (classes.length) made.className = classes.join(" ");
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** Shows a message in a notice, or hides it when there is none. */
export function notice(target, text) {
  target.textContent = text ?? "";
  target.hidden = !text;
}

/** Puts these elements into `target`, touching it only when they are not there already in this order. */
export function arrange(target, elements) {
  const shown = [...target.children];
  if (elements.length !== shown.length || elements.some((element, index) => element !== shown[index])) target.replaceChildren(...elements);
}

/** The options of a select, keeping what is chosen while it is still offered. */
export function options(select, pairs) {
  const text = JSON.stringify(pairs);
  if (select.dataset.options === text) return;
  const chosen = select.value;
  select.dataset.options = text;
  select.replaceChildren(...pairs.map(([value, label]) => el("option", { value }, label)));
  if (pairs.some(([value]) => value === chosen)) select.value = chosen;
}

/** Asks before something is deleted; true when the person is sure. */
export function sure(text) {
  const dialog = $("sure-dialog");
  $("sure-text").textContent = text;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true }));
}

// How far a transfer is, and what is awaited after its last byte.
import { bytes } from "./format.js";

/** Shows the bar in `target` and returns what to call with (sent, all) bytes. */
export function showTransfer(target, afterwards) {
  const [bar, text] = [target.querySelector("progress"), target.querySelector("span")];
  target.hidden = false;
  const show = (sent, all) => {
    if (all && sent >= all) {
      bar.removeAttribute("value");
      text.textContent = afterwards;
    } else {
      bar.value = all ? sent / all : 0;
      text.textContent = all ? `${bytes(sent)} of ${bytes(all)}` : "";
    }
  };
  show(0, 0);
  return show;
}

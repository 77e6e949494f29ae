/** A result: the sum of it, filters, the marked text or a table, and the details of one item. */

import { articleView } from "./article.js";
import { Details } from "./details.js";
import { element } from "./dom.js";
import { Filters } from "./filters.js";
import { MOST_ROWS, tableView } from "./table.js";

/** The pointer has to rest this long on a sentence: it may cross others on its way to the details. */
const REST_MS = 180;

/**
 * Shows items in `place`. `text` is the article, or null for the rows of a file; `downloads` are buttons; `leave` goes back.
 */
export class Results {
  #place;
  #items;
  #text;
  #noun;
  #filters;
  #details;
  #announce;
  #view = element("div", { class: "view" });
  #count = element("p", { class: "hint" });
  #asText;
  #marks = new Map();
  #notes;
  #shown = [];
  #current = null;
  #held = false;
  #timer = 0;

  constructor(place, { items, text, model, announce, downloads, leave, notes }) {
    this.#place = place;
    this.#items = items;
    this.#text = text;
    this.#announce = announce;
    this.#notes = notes;
    this.#noun = text === null ? "Row" : "Sentence";
    this.#asText = text !== null;
    this.#filters = new Filters(items, () => this.#filter());
    const step = (by) => this.#step(by, { focusDetails: true });
    this.#details = new Details({ model, step, announce, corrected: (item) => this.#corrected(item), close: () => this.#close() });
    this.#listen();
    const again = element("button", { type: "button", click: leave }, text === null ? "Another file" : "Another text");
    place.replaceChildren(
      element("div", { class: "results-top" }, element("h1", { id: "results-title" }, this.#title()), element("div", { class: "actions" }, again, ...downloads)),
      ...this.#filters.controls({ holders: text !== null }),
      element("div", { class: "view-top" }, this.#count, ...(text === null ? [] : [this.#viewChoice()])),
      element("div", { class: "reading" }, this.#view, this.#details.panel),
      element("p", { class: "hint model" }, `Model: ${model}`),
    );
    this.#draw();
  }

  #title() {
    const counted = this.#items.filter((item) => !item.furniture).length;
    return `${counted.toLocaleString("en")} ${this.#noun.toLowerCase()}${counted === 1 ? "" : "s"}`;
  }

  #viewChoice() {
    const choice = (name, asText) => {
      const input = element("input", { type: "radio", name: "view", checked: asText === this.#asText });
      input.addEventListener("change", () => {
        this.#asText = asText;
        this.#draw();
      });
      return element("label", {}, input, element("span", {}, name));
    };
    return element("fieldset", { class: "switch" }, element("legend", { class: "spoken" }, "View"), choice("Text", true), choice("Table", false));
  }

  #draw() {
    this.#shown = this.#items.filter((item) => this.#filters.admits(item));
    if (this.#asText) {
      const { view, marks } = articleView(this.#text, this.#items);
      this.#marks = new Map(marks.entries());
      this.#view.replaceChildren(view);
    } else {
      const caption = this.#text === null ? "The rows and their stances" : "The sentences, their stances and who voices them";
      const { view, marks } = tableView(this.#shown, { holders: this.#text !== null, caption });
      this.#marks = marks;
      this.#view.replaceChildren(view);
    }
    this.#filter({ quietly: true });
  }

  #filter({ quietly = false } = {}) {
    this.#shown = this.#items.filter((item) => this.#filters.admits(item));
    if (!this.#asText && !quietly) {
      this.#draw();
    } else if (this.#asText) {
      for (const [index, mark] of this.#marks) mark.classList.toggle("out", !this.#filters.admits(this.#items[index]));
    }
    const noun = `${this.#noun.toLowerCase()}s`;
    const drawn = Math.min(this.#shown.length, this.#asText ? Infinity : MOST_ROWS);
    const more = drawn < this.#shown.length ? `, the first ${drawn} of them drawn; the downloads hold every row` : "";
    const said = `${this.#shown.length} of ${this.#items.length} ${noun} shown${more}.`;
    this.#count.textContent = [...(this.#filters.active || more ? [said] : []), ...this.#notes].join(" ");
    if (!quietly) this.#announce(said);
    this.#roving();
  }

  /** Leave one sentence in the order of the Tab key: the chosen one, or the first; arrow keys reach the others. */
  #roving() {
    if (!this.#asText) return;
    const first = this.#current !== null && this.#shown.includes(this.#current) ? this.#current : this.#shown[0];
    for (const [index, mark] of this.#marks) mark.tabIndex = index === first?.index ? 0 : -1;
  }

  #listen() {
    const found = (event) => event.target.closest?.("[data-index]");
    const item = (mark) => this.#items[Number(mark.dataset.index)];
    this.#view.addEventListener("pointerover", (event) => {
      clearTimeout(this.#timer);
      const mark = found(event);
      if (mark && event.pointerType !== "touch" && !this.#held) this.#timer = setTimeout(() => this.#choose(item(mark)), REST_MS);
    });
    this.#view.addEventListener("pointerleave", () => clearTimeout(this.#timer));
    this.#view.addEventListener("focusin", (event) => found(event) && this.#choose(item(found(event))));
    this.#view.addEventListener("click", (event) => {
      const mark = found(event);
      if (!mark) return;
      this.#held = !(this.#held && this.#current === item(mark));
      this.#choose(item(mark), { anew: true });
    });
    this.#view.addEventListener("keydown", (event) => this.#key(event, found(event)));
    this.#details.panel.addEventListener("keydown", (event) => event.key === "Escape" && this.#close());
  }

  #key(event, mark) {
    if (!mark) return;
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };
    if (event.key in steps) this.#step(steps[event.key], { from: this.#items[Number(mark.dataset.index)] });
    else if (event.key === "Enter" || event.key === " ") {
      this.#held = true;
      this.#choose(this.#items[Number(mark.dataset.index)], { anew: true });
      this.#details.panel.focus();
    } else if (event.key === "Escape") this.#close();
    else return;
    event.preventDefault();
  }

  #step(by, { from = this.#current, focusDetails = false } = {}) {
    const reachable = this.#shown.filter((item) => this.#marks.has(item.index));
    if (!reachable.length) return;
    const at = reachable.indexOf(from) + by;
    const next = reachable[Math.max(0, Math.min(reachable.length - 1, at))];
    this.#choose(next);
    const mark = this.#marks.get(next.index);
    if (focusDetails) {
      mark.scrollIntoView({ block: "nearest" });
      this.#details.panel.focus({ preventScroll: true });
    } else mark.focus();
  }

  #choose(item, { anew = false } = {}) {
    clearTimeout(this.#timer);
    if (item === this.#current && !anew) return;
    this.#unmark();
    this.#current = item;
    this.#marks.get(item.index)?.setAttribute("aria-current", "true");
    this.#marks.get(item.index)?.classList.toggle("held", this.#held);
    this.#place.classList.add("choosing");
    this.#roving();
    this.#details.show(item, { held: this.#held, of: { noun: this.#noun, count: this.#items.length } });
    this.#uncover(this.#marks.get(item.index));
  }

  /** On a narrow screen the details lie over the lower part of the text: bring what they are about above them. */
  #uncover(mark) {
    const { panel } = this.#details;
    if (!mark || getComputedStyle(panel).position !== "fixed") return;
    const { top, bottom } = mark.getBoundingClientRect();
    const room = panel.getBoundingClientRect().top;
    if (bottom > room || top < 0) window.scrollBy(0, top - Math.max(16, (room - (bottom - top)) / 2));
  }

  #unmark() {
    const mark = this.#current && this.#marks.get(this.#current.index);
    mark?.removeAttribute("aria-current");
    mark?.classList.remove("held");
  }

  #close() {
    const mark = this.#current && this.#marks.get(this.#current.index);
    const inside = this.#details.panel.contains(document.activeElement);
    this.#unmark();
    this.#held = false;
    this.#place.classList.remove("choosing");
    this.#details.empty();
    if (inside) mark?.focus();
    this.#current = null;
  }

  #corrected(item) {
    const mark = this.#marks.get(item.index);
    if (this.#asText) mark.classList.add("corrected");
    else this.#draw();
    this.#details.show(item, { held: this.#held, of: { noun: this.#noun, count: this.#items.length } });
    this.#details.panel.focus({ preventScroll: true });
  }
}

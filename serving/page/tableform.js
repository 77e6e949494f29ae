/** A file with a table: which column holds the texts, and the scoring of its rows. */

import { byId, element, show } from "./dom.js";
import { scoreItems } from "./scoring.js";
import { guess, parse, textColumn } from "./separated.js";
import { told } from "./service.js";
import { useLabels } from "./stances.js";

const PREVIEWED = 3;
const counted = (number) => number.toLocaleString("en");

/**
 * Asks for the text column of a table in `place`, scores the rows and hands them to `present`. `work` runs what can be given up,
 * `stop` gives it up.
 */
export class TableForm {
  #place;
  #limits;
  #actions;
  #table = null;
  #named = element("input", { type: "checkbox", id: "first-names" });
  #column = element("select", { id: "text-column" });
  #size = element("p", { class: "hint" });
  #sample = element("ul", { class: "sample", "aria-label": "The first texts of this column" });
  #start = element("button", { type: "button", class: "primary" });
  #progress = element("div", { class: "progress" });

  constructor(place, { limits, work, stop, announce, present }) {
    this.#place = place;
    this.#limits = limits;
    this.#actions = { work, stop, announce, present };
    this.#named.addEventListener("change", () => this.#describe());
    this.#column.addEventListener("change", () => this.#preview());
    this.#start.addEventListener("click", () => this.#score());
  }

  /** Show what a file holds. */
  open(content, name) {
    const delimiter = guess(content);
    const rows = parse(content, delimiter);
    this.#table = { stem: name.replace(/\.[^.]+$/, ""), delimiter, rows, width: Math.max(1, ...rows.map((row) => row.length)), names: [] };
    this.#named.checked = rows.length > 1;
    this.#describe();
    const heading = element("h2", { tabIndex: -1 }, name);
    this.#place.replaceChildren(
      heading,
      this.#size,
      element("div", { class: "check" }, this.#named, element("label", { htmlFor: "first-names" }, "The first row holds the names of the columns")),
      element("label", { htmlFor: "text-column" }, "Column with the texts"),
      this.#column,
      this.#sample,
      element("div", { class: "actions" }, this.#start, element("button", { type: "button", click: () => this.close() }, "Cancel")),
      this.#progress,
    );
    show(true, this.#place);
    show(false, byId("form"));
    heading.focus();
  }

  /** Give up what is under way and go back to the text field. */
  close() {
    this.#actions.stop();
    show(false, this.#place);
    show(true, byId("form"));
    byId("text").focus();
  }

  #rows() {
    return this.#named.checked ? this.#table.rows.slice(1) : this.#table.rows;
  }

  #describe() {
    const { rows, width } = this.#table;
    this.#table.names = Array.from({ length: width }, (_, index) => (this.#named.checked && rows[0]?.[index]) || `column ${index + 1}`);
    this.#column.replaceChildren(...this.#table.names.map((name) => element("option", {}, name)));
    this.#column.selectedIndex = textColumn(this.#table.names, this.#rows());
    const { length } = this.#rows();
    this.#size.textContent = `${counted(length)} rows, ${width} columns; all are kept in the download.`;
    this.#start.textContent = `Score ${counted(length)} rows`;
    this.#start.disabled = length === 0;
    this.#preview();
  }

  #preview() {
    const texts = this.#rows().slice(0, PREVIEWED).map((row) => row[this.#column.selectedIndex] ?? "");
    this.#sample.replaceChildren(...texts.map((cell) => element("li", {}, cell.trim() || "(empty)")));
  }

  #items() {
    const { names } = this.#table;
    const column = this.#column.selectedIndex;
    return this.#rows().map((row, index) => ({
      index,
      text: row[column] ?? "",
      row: names.map((_, at) => row[at] ?? ""),
      prediction: null,
      holder: null,
      furniture: false,
      correction: null,
      why: null,
    }));
  }

  async #score() {
    await this.#actions.work(async (signal) => {
      const items = this.#items();
      const model = await this.#scored(items, signal);
      const scored = items.find((item) => item.prediction);
      if (!scored) {
        const said = `No row could be scored: ${items[0].why}.`;
        this.#progress.replaceChildren(element("p", {}, said));
        this.#actions.announce(said);
        return;
      }
      useLabels(Object.keys(scored.prediction.probabilities));
      show(false, this.#place);
      show(true, byId("form"));
      this.#actions.present({ items, table: this.#table, model });
    }, () => this.#score());
  }

  async #scored(items, signal) {
    const bar = element("progress", { max: items.length, value: 0, "aria-label": "Rows scored" });
    const said = element("p", { class: "hint" }, "Scoring…");
    this.#progress.replaceChildren(bar, said);
    this.#actions.announce("Scoring the rows.");
    const progressed = (done) => {
      bar.value = done;
      said.textContent = `${counted(done)} of ${counted(items.length)} rows scored.`;
    };
    const waiting = (refusal, seconds) => {
      said.textContent = `${told(refusal)[0]} Trying again in ${seconds} s.`;
      this.#actions.announce(said.textContent);
    };
    try {
      return await scoreItems(items, { limits: this.#limits, signal, progressed, waiting });
    } finally {
      this.#progress.replaceChildren();
    }
  }
}

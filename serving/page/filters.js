/** The share of each label, which is also how to look at some of the items only: by label, by holder, or the unsure ones. */

import { drawing, element } from "./dom.js";
import { labels, look, percent, shape, unsureMark } from "./stances.js";

const EVERYONE = "*";
const NOBODY = "";

/** The filters of a result; `changed` is called when one was used. */
export class Filters {
  #labels = new Set();
  #unsure = false;
  #holder = EVERYONE;
  #items;
  #changed;

  constructor(items, changed) {
    this.#items = items.filter((item) => item.prediction && !item.furniture);
    this.#changed = changed;
  }

  /** Whether anything is left out. */
  get active() {
    return this.#labels.size > 0 || this.#unsure || this.#holder !== EVERYONE;
  }

  /** Whether an item is to be looked at. */
  admits({ prediction, holder, furniture }) {
    if (!this.active) return true;
    if (!prediction || furniture) return false;
    return (
      (this.#labels.size === 0 || this.#labels.has(prediction.label)) &&
      (!this.#unsure || prediction.abstain) &&
      (this.#holder === EVERYONE || (holder ?? NOBODY) === this.#holder)
    );
  }

  /** Return the bar and the buttons. */
  controls({ holders }) {
    const counts = labels().map((label) => [label, this.#items.filter((item) => item.prediction.label === label).length]);
    const unsure = this.#items.filter((item) => item.prediction.abstain).length;
    const chips = counts.map(([label, count]) => {
      const content = [shape(label), ` ${label} `, element("span", { class: "figure" }, `${count} · ${percent(count / (this.#items.length || 1))} %`)];
      return chip(`chip ${look(label)}`, content, (pressed) => this.#use(() => (pressed ? this.#labels.add(label) : this.#labels.delete(label))));
    });
    const mark = [unsureMark(), " unsure ", element("span", { class: "figure" }, String(unsure))];
    chips.push(chip("chip", mark, (pressed) => this.#use(() => (this.#unsure = pressed))));
    const row = element("div", { class: "chips", role: "group", "aria-label": "Show only" }, ...chips);
    if (holders) row.append(this.#holderChoice());
    return [shareBar(counts, this.#items.length), row];
  }

  #holderChoice() {
    const counts = new Map();
    for (const { holder } of this.#items) counts.set(holder ?? NOBODY, (counts.get(holder ?? NOBODY) ?? 0) + 1);
    const named = [...counts].filter(([name]) => name !== NOBODY).sort((a, b) => b[1] - a[1]);
    const choice = (value, text) => element("option", { value }, text);
    const select = element(
      "select",
      { id: "holder", change: () => this.#use(() => (this.#holder = select.value)) },
      choice(EVERYONE, `Everyone (${this.#items.length})`),
      ...named.map(([name, count]) => choice(name, `${name} (${count})`)),
      choice(NOBODY, `Nobody named (${counts.get(NOBODY) ?? 0})`),
    );
    return element("div", { class: "holder-choice" }, element("label", { htmlFor: "holder" }, "Who says it"), select);
  }

  #use(change) {
    change();
    this.#changed();
  }
}

function chip(classes, content, pressed) {
  const button = element("button", { type: "button", class: classes, "aria-pressed": "false" }, ...content);
  button.addEventListener("click", () => {
    const now = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(now));
    pressed(now);
  });
  return button;
}

function shareBar(counts, total) {
  const bar = drawing("svg", { class: "share", width: "100%", height: "14", role: "img" });
  bar.setAttribute("aria-label", counts.map(([label, count]) => `${label} ${percent(count / (total || 1))} percent`).join(", "));
  let x = 0;
  for (const [label, count] of counts) {
    const width = (100 * count) / (total || 1);
    bar.append(drawing("rect", { class: `fill ${look(label)}`, x: `${x}%`, width: `${width}%`, height: "14" }));
    x += width;
  }
  return bar;
}

/** The panel that says all about one sentence: probabilities, holder, the words that decided, and a way to correct it. */

import { drawing, element, spoken } from "./dom.js";
import { call, Refusal, told } from "./service.js";
import { labels, look, named, percent, unsureMark } from "./stances.js";

const MOST_WORDS = 5;
const NOTABLE = 0.01;
/** Below this effect no word is shaded fully, and none is said to decide. */
const DECISIVE = 0.05;
/** An explanation costs as much as scoring a text for each word: it is asked for when a sentence has been looked at this long. */
const LOOKED_AT_MS = 350;

/** One panel for the items of a result. `step(by)` goes to another item, `corrected(item)` is told of a correction. */
export class Details {
  #panel = element("section", { id: "details", class: "details", tabIndex: -1, "aria-labelledby": "details-title" });
  #explanations = new Map();
  #asking = null;
  #timer = 0;
  #annotator = "";
  #actions;
  #model;

  constructor({ model, step, corrected, close, announce }) {
    this.#model = model;
    this.#actions = { step, corrected, close, announce };
    this.empty();
  }

  get panel() {
    return this.#panel;
  }

  /** Show that nothing is chosen. */
  empty() {
    this.#leave();
    this.#panel.classList.remove("open");
    this.#panel.replaceChildren(
      element("h2", { id: "details-title" }, "Details"),
      element("p", { class: "hint" }, "Point at a sentence, or move to one with the arrow keys, to see its probabilities, who says it and which words decided."),
    );
  }

  /** Show an item. */
  show(item, { held, of }) {
    this.#leave();
    const { step, close } = this.#actions;
    const button = (label, sign, click) => element("button", { type: "button", class: "icon", "aria-label": label, title: label, click }, sign);
    this.#panel.classList.add("open");
    this.#panel.classList.toggle("held", held);
    this.#panel.replaceChildren(
      element(
        "div",
        { class: "details-top" },
        element("h2", { id: "details-title" }, `${of.noun} ${item.index + 1}`, element("span", { class: "of" }, ` of ${of.count}`)),
        button(`Previous ${of.noun.toLowerCase()}`, "←", () => step(-1)),
        button(`Next ${of.noun.toLowerCase()}`, "→", () => step(1)),
        button("Close the details", "×", close),
      ),
    );
    if (!item.prediction) {
      this.#panel.append(element("p", {}, `This row was not scored: ${item.why}.`));
      return;
    }
    const words = element("div", { class: "words", "aria-live": "polite" });
    this.#panel.append(this.#verdict(item), ...this.#probabilities(item), ...this.#holder(item), element("h3", {}, "Words that decided"), words);
    this.#panel.append(this.#correction(item));
    this.#explain(item, words);
  }

  #verdict({ prediction, furniture, correction }) {
    const { label, confidence, abstain, truncated } = prediction;
    const verdict = element("div", { class: `verdict ${look(label)}` });
    verdict.append(element("p", { class: "verdict-label" }, named(label), " ", element("span", { class: "figure" }, `${percent(confidence)} %`)));
    const aside = (...text) => verdict.append(element("p", { class: "aside" }, ...text));
    if (abstain) aside(unsureMark(), " Unsure: not reliable enough to count on. Read the sentence yourself.");
    if (furniture) aside("Page furniture, no part of the article: not counted.");
    if (truncated) aside("Longer than the model reads: scored on its beginning.");
    if (correction) aside(`You corrected it to ${correction}.`);
    return verdict;
  }

  #probabilities({ prediction }) {
    const rows = labels().map((label) => {
      const share = prediction.probabilities[label];
      const bar = drawing("svg", { class: "bar", "aria-hidden": "true", width: "100%", height: "8" });
      bar.append(drawing("rect", { class: "track", width: "100%", height: "8", rx: "4" }));
      bar.append(drawing("rect", { class: `fill ${look(label)}`, width: `${Math.max(1, 100 * share)}%`, height: "8", rx: "4" }));
      return element("div", {}, element("dt", {}, named(label)), element("dd", {}, bar, element("span", { class: "figure" }, `${percent(share)} %`)));
    });
    return [element("h3", {}, "Probabilities"), element("dl", { class: "probabilities" }, ...rows)];
  }

  #holder({ sentence }) {
    if (!sentence) return [];
    const { holder } = sentence;
    const said = holder
      ? [element("b", {}, holder.name), ` · ${holder.speech} speech, cue “${holder.cue.text}”`]
      : ["Nobody named: the writer, or it cannot be told."];
    return [element("h3", {}, "Who says it"), element("p", {}, ...said)];
  }

  #correction(item) {
    const { prediction } = item;
    const outcome = element("p", { class: "hint", role: "status" });
    const name = element("input", { id: "annotator", type: "text", maxLength: 200, autocomplete: "off", value: this.#annotator });
    name.addEventListener("input", () => (this.#annotator = name.value));
    const buttons = labels().map((label) => {
      const pressed = String((item.correction ?? prediction.label) === label);
      const click = () => this.#send(item, label, outcome);
      return element("button", { type: "button", class: `choice ${look(label)}`, "aria-pressed": pressed, click }, named(label));
    });
    return element(
      "fieldset",
      { class: "correction" },
      element("legend", {}, "Wrong? Choose the label"),
      element("div", { class: "choices" }, ...buttons),
      element("label", { htmlFor: "annotator" }, "Your name or initials (optional)"),
      name,
      outcome,
    );
  }

  async #send(item, label, outcome) {
    const { prediction, text } = item;
    const annotator = this.#annotator.trim();
    const body = { text, label, model: this.#model, predicted: prediction.label, ...(annotator ? { annotator } : {}) };
    outcome.textContent = "Sending…";
    try {
      await call("corrections", body);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      outcome.textContent = `Not sent. ${told(error).join(" ")}`;
      return;
    }
    item.correction = label;
    this.#actions.corrected(item);
    this.#actions.announce(`Sent: ${label}. Thank you.`);
  }

  #explain(item, place) {
    const known = this.#explanations.get(item.text);
    if (known) {
      place.replaceChildren(...explained(known, item.text));
      return;
    }
    place.replaceChildren(element("p", { class: "hint" }, "Looking…"));
    this.#timer = setTimeout(() => this.#ask(item, place), LOOKED_AT_MS);
  }

  async #ask(item, place) {
    this.#asking = new AbortController();
    try {
      const answer = await call("explain", { text: item.text }, { signal: this.#asking.signal });
      this.#explanations.set(item.text, answer);
      place.replaceChildren(...explained(answer, item.text));
    } catch (error) {
      if (error.name === "AbortError") return;
      if (!(error instanceof Refusal)) throw error;
      const again = element("button", { type: "button", class: "small", click: () => this.#explain(item, place) }, "Try again");
      place.replaceChildren(element("p", { class: "hint" }, told(error).join(" "), " ", again));
    }
  }

  #leave() {
    clearTimeout(this.#timer);
    this.#asking?.abort();
  }
}

/** Return the sentence with its words shaded by what they did, and the words that did most. */
function explained({ prediction, words, words_left_out: leftOut }, text) {
  const points = Array.from(text);
  const strongest = Math.max(DECISIVE, ...words.map((word) => Math.abs(word.contribution)));
  const shaded = element("p", { class: "shaded", "aria-hidden": "true" });
  let at = 0;
  for (const word of words) {
    const degree = Math.round((3 * Math.abs(word.contribution)) / strongest);
    shaded.append(points.slice(at, word.start).join(""));
    const classes = degree ? `word ${word.contribution > 0 ? "for" : "against"} degree-${degree}` : "word";
    shaded.append(element("span", { class: classes }, points.slice(word.start, word.end).join("")));
    at = word.end;
  }
  shaded.append(points.slice(at).join(""));
  const top = words
    .filter((word) => Math.abs(word.contribution) >= NOTABLE)
    .sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution))
    .slice(0, MOST_WORDS);
  const list = top.map(({ word, contribution }) => {
    const points = `${contribution > 0 ? "+" : "−"}${percent(Math.abs(contribution))}`;
    return element("li", {}, element("span", {}, word), " ", element("span", { class: "figure" }, points, spoken(" points")));
  });
  const none = element("p", { class: "hint" }, "No single word decides: without any one of them the answer stays about as sure.");
  const meaning = `Percentage points of its probability that ${prediction.label} loses without the word.`;
  return [
    shaded,
    ...(list.length ? [element("ol", { class: "top-words" }, ...list)] : []),
    ...(words.some((word) => Math.abs(word.contribution) >= DECISIVE) ? [] : [none]),
    element("p", { class: "hint" }, meaning, leftOut ? ` ${leftOut} words at the end are not explained.` : ""),
  ];
}

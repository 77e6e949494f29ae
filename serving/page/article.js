/** An article as text, its sentences marked. */

import { element } from "./dom.js";
import { look, marker } from "./stances.js";

/**
 * Return the article's items from an answer of `POST /analyze`. Its offsets count code points, which `points` holds one each;
 * JavaScript's own indices would be off by one behind every emoji.
 */
export function itemsOf(answer) {
  return answer.sentences.map((sentence, index) => ({
    index,
    text: sentence.text,
    prediction: sentence,
    holder: sentence.holder?.name ?? null,
    furniture: sentence.furniture,
    correction: null,
    sentence,
  }));
}

/** Return the text view, and the element of each item. */
export function articleView(text, items) {
  const points = Array.from(text);
  const mentions = mentionsOf(items);
  const marks = items.map((item) => mark(item, points, mentions));
  const article = element("div", { class: "article", role: "group", "aria-label": "The article, sentence by sentence" });
  let paragraph = element("p");
  let end = 0;
  for (const item of items) {
    const gap = points.slice(end, item.sentence.start).join("");
    if (paragraph.hasChildNodes() && /[\n\r\v\f\x85\u2028\u2029]/.test(gap)) {
      article.append(paragraph);
      paragraph = element("p");
    } else paragraph.append(gap);
    paragraph.append(marks[item.index]);
    end = item.sentence.end;
  }
  article.append(paragraph);
  return { view: article, marks };
}

function mark(item, points, mentions) {
  const { prediction, furniture } = item;
  const names = ["sentence", look(prediction.label), prediction.abstain && "unsure", furniture && "furniture"];
  return element(
    "span",
    { class: names.filter(Boolean).join(" "), role: "button", tabIndex: -1, "aria-controls": "details", "data-index": item.index },
    furniture ? null : marker(prediction),
    ...content(item.sentence, points, mentions),
  );
}

/** Return a sentence's text with the holders that it names in `<b>`. */
function content({ start, end }, points, mentions) {
  const parts = [];
  let at = start;
  for (const mention of mentions) {
    if (mention.start < at || mention.end > end) continue;
    parts.push(points.slice(at, mention.start).join(""), element("b", {}, points.slice(mention.start, mention.end).join("")));
    at = mention.end;
  }
  return [...parts, points.slice(at, end).join("")];
}

function mentionsOf(items) {
  const found = new Map();
  for (const { sentence } of items) if (sentence.holder) found.set(sentence.holder.start, sentence.holder);
  return [...found.values()].sort((a, b) => a.start - b.start);
}

/** Items as a table: the sentences of an article, or the rows of a file. */

import { element } from "./dom.js";
import { look, named, percent, unsureMark } from "./stances.js";

/** Rows that are drawn at once; the download has all. */
export const MOST_ROWS = 300;

/** Return the table view of some items, and the element of each that is drawn, by the item's index. */
export function tableView(items, { holders, caption }) {
  const marks = new Map();
  const rows = items.slice(0, MOST_ROWS).map((item) => {
    const text = element(
      "button",
      { type: "button", class: "row-text", "aria-controls": "details", "data-index": item.index },
      item.text.trim() || "(no text)",
    );
    marks.set(item.index, text);
    return element("tr", {}, element("td", { class: "number" }, String(item.index + 1)), element("td", {}, text), ...cells(item, holders));
  });
  const names = ["No.", "Text", "Stance", "Confidence", ...(holders ? ["Who says it"] : [])];
  const head = element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name)));
  const table = element(
    "table",
    { class: "items" },
    element("caption", { class: "spoken" }, caption),
    element("thead", {}, head),
    element("tbody", {}, ...rows),
  );
  const view = element("div", { class: "scroll", role: "region", tabIndex: 0, "aria-label": caption }, table);
  return { view, marks };
}

function cells({ prediction, holder, furniture, why, correction }, holders) {
  const voice = holders ? [element("td", {}, holder ?? "")] : [];
  if (!prediction) return [element("td", { colSpan: 2, class: "rejected" }, `not scored: ${why}`), ...voice];
  const { label, confidence, abstain } = prediction;
  const stance = element("td", { class: look(label) }, named(label));
  if (furniture) stance.append(" ", element("span", { class: "aside" }, "page furniture"));
  if (correction) stance.append(" ", element("span", { class: "aside" }, `corrected: ${correction}`));
  const sure = element("td", { class: "number" }, `${percent(confidence)} %`);
  if (abstain) sure.append(" ", unsureMark(), element("span", { class: "spoken" }, " unsure"));
  return [stance, sure, ...voice];
}

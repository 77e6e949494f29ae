/** How labels look: each has a colour, a shape and a line, by its place in the model's order, and is always named beside them. */

import { drawing, element, spoken } from "./dom.js";

const LOOKS = 6;
let order = [];

/** Take the labels in the model's order. */
export function useLabels(labels) {
  order = labels;
}

/** Return the labels in the model's order. */
export function labels() {
  return order;
}

/** Return the class of a label's look. */
export function look(label) {
  return `stance-${number(label)}`;
}

/** Return the shape of a label. */
export function shape(label) {
  const use = drawing("use", { href: `ui/shapes.svg#shape-${number(label)}` });
  return drawing("svg", { class: "shape", "aria-hidden": "true" }, use);
}

/** Return the mark of a prediction that is not sure enough. */
export function unsureMark() {
  return element("span", { class: "unsure-mark", "aria-hidden": "true" }, "?");
}

/** Return what stands before a sentence: shape and confidence; read out as "denying, 93 percent, unsure: ". */
export function marker({ label, confidence, abstain }) {
  return element(
    "span",
    { class: "marker" },
    shape(label),
    spoken(`${label}, `),
    percent(confidence),
    spoken(` percent${abstain ? ", unsure" : ""}: `),
    abstain ? unsureMark() : null,
  );
}

/** Return a label with its shape. */
export function named(label) {
  return element("span", { class: `label ${look(label)}` }, shape(label), ` ${label}`);
}

/** Return a share (0 to 1) in whole percent, without the sign. */
export function percent(share) {
  return String(Math.round(100 * share));
}

function number(label) {
  return (Math.max(0, order.indexOf(label)) % LOOKS) + 1;
}

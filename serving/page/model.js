/** What is served, in a dialog: name, date, and the model card with its figures and limits. */

import { byId, element } from "./dom.js";
import { call, Refusal, told } from "./service.js";

/** Open the dialog on a click of its link. */
export function offerModel() {
  const dialog = byId("model-dialog");
  byId("about-model").setAttribute("aria-haspopup", "dialog");
  byId("about-model").addEventListener("click", async (event) => {
    event.preventDefault();
    fill(dialog, [element("p", { class: "hint" }, "Asking the service…")]);
    dialog.showModal();
    try {
      fill(dialog, description(await call("model")));
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      fill(dialog, [element("p", {}, told(error).join(" "))]);
    }
  });
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
}

function fill(dialog, content) {
  const close = element("button", { type: "button", class: "icon", "aria-label": "Close", click: () => dialog.close() }, "×");
  const top = element("div", { class: "details-top" }, element("h2", { id: "model-title" }, "The model"), close);
  dialog.replaceChildren(element("div", { class: "dialog-content", tabIndex: 0, role: "region", "aria-labelledby": "model-title" }, top, ...content));
}

function description({ model, created, target, model_card: card }) {
  const fact = (name, value) => element("div", {}, element("dt", {}, name), element("dd", {}, value));
  const date = created ? new Date(created).toLocaleDateString("en", { dateStyle: "long" }) : "unknown";
  return [element("dl", { class: "facts" }, fact("Name", model), fact("Made on", date), fact("Target", target)), ...cardElements(card)];
}

/** Return the model card as elements: the little of Markdown that cards are written in (headings, tables, lists, paragraphs). */
function cardElements(card) {
  const blocks = card.split(/\n{2,}|\n(?=#|\|)|(?<=^#.*)\n/m).filter((block) => block.trim());
  const made = [];
  for (const block of blocks) {
    if (block.startsWith("|")) addRow(made, block);
    else if (block.startsWith("#")) made.push(element("h3", {}, block.replace(/^#+\s*/, "")));
    else made.push(element("p", {}, ...inline(block)));
  }
  return made.slice(made[0]?.tagName === "H3" ? 1 : 0); // its title is the task's name
}

function addRow(made, line) {
  const cells = line.split("|").slice(1, -1).map((cell) => cell.trim());
  if (cells.every((cell) => /^:?-+:?$/.test(cell))) return;
  if (made.at(-1)?.tagName === "TABLE") {
    made.at(-1).tBodies[0].append(element("tr", {}, ...cells.map((cell) => element("td", {}, ...inline(cell)))));
  } else {
    const head = element("tr", {}, ...cells.map((cell) => element("th", { scope: "col" }, cell)));
    made.push(element("table", {}, element("thead", {}, head), element("tbody")));
  }
}

function inline(text) {
  return text.split(/(`[^`]+`|\*[^*]+\*)/).map((part) => {
    if (/^`.+`$/.test(part)) return element("code", {}, part.slice(1, -1));
    return /^\*.+\*$/.test(part) ? element("em", {}, part.slice(1, -1)) : part;
  });
}

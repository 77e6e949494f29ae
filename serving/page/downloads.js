/** What can be taken away: the same columns as `stance analyze` and `stance score` write. */

import { element } from "./dom.js";
import { write } from "./separated.js";
import { labels } from "./stances.js";

const DECIMALS = 6;

/** Return a button that saves what `content` returns. */
export function downloadButton(label, { name, type, content }) {
  const click = () => {
    const url = URL.createObjectURL(new Blob([content()], { type }));
    element("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  };
  return element("button", { type: "button", click }, label);
}

/** Return the columns of a prediction, in order: name and value; empty where the item was not scored. */
function stanceColumns({ prediction, correction }, model) {
  const probabilities = labels().map((label) => [`stance_p_${label}`, prediction?.probabilities[label].toFixed(DECIMALS) ?? ""]);
  return [
    ["stance", prediction?.label ?? ""],
    ["stance_confidence", prediction?.confidence.toFixed(DECIMALS) ?? ""],
    ...probabilities,
    ["stance_abstain", prediction ? String(prediction.abstain) : ""],
    ["stance_model", prediction ? model : ""],
    ["correction", correction ?? ""],
  ];
}

/** Return an article's sentences as a table. */
export function articleTable(items, model) {
  const columns = items.map((item) => {
    const { start, end, furniture, holder } = item.sentence;
    return [
      ["sentence", item.index + 1],
      ["start", start],
      ["end", end],
      ["text", item.text],
      ...stanceColumns(item, model),
      ["furniture", furniture],
      ["holder", holder?.name ?? ""],
      ["speech", holder?.speech ?? ""],
      ["cue", holder?.cue.text ?? ""],
    ];
  });
  return `\ufeff${asText(columns)}`;
}

/** Return a file's rows with every column that they had, and the stance behind them. */
export function rowsTable(items, { names, delimiter, model }) {
  const header = [...names, ...stanceColumns({ prediction: null }, model).map(([name]) => name)];
  const rows = items.map((item) => [...item.row, ...stanceColumns(item, model).map(([, value]) => value)]);
  return write([header, ...rows], delimiter);
}

/** Return the answer of the service, with the corrections that were sent. */
export function articleJson(answer, items) {
  const corrections = items.filter((item) => item.correction).map(({ index, correction }) => ({ sentence: index + 1, label: correction }));
  return `${JSON.stringify({ ...answer, corrections }, null, 1)}\n`;
}

/** Return a file's rows as JSON: the cells in order below `names`, since two columns may have one name, and the prediction. */
export function rowsJson(items, { names, model }) {
  const rows = items.map(({ row, prediction, why, correction }) => ({ cells: row, prediction, why: why ?? null, correction }));
  return `${JSON.stringify({ model, names, rows }, null, 1)}\n`;
}

function asText(columns) {
  return write([columns[0].map(([name]) => name), ...columns.map((row) => row.map(([, value]) => value))]);
}

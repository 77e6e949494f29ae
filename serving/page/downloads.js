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

/** Return a file's rows with every column that they had, and behind them the stance in the columns of `stance score`. */
export function rowsTable(items, { names, delimiter, model }) {
  const header = ["stance", "stance_confidence", ...labels().map((label) => `stance_p_${label}`), "stance_abstain", "stance_model", "correction"];
  const cells = ({ prediction, correction }) => {
    if (!prediction) return header.map(() => "");
    const { label, confidence, abstain } = prediction;
    const probabilities = labels().map((name) => prediction.probabilities[name].toFixed(DECIMALS));
    return [label, confidence.toFixed(DECIMALS), ...probabilities, abstain, model, correction ?? ""];
  };
  return write([[...names, ...header], ...items.map((item) => [...item.row, ...cells(item)])], delimiter);
}

/** Return an article's sentences in the columns of `stance analyze`, and the corrections. */
export function articleTable(items, model) {
  const header = ["start", "end", "text", "label", "confidence", ...labels().map((label) => `p_${label}`), "abstain", "truncated", "furniture"];
  const voice = ["holder", "holder_start", "holder_end", "speech", "cue"];
  const rows = items.map(({ sentence, correction }) => {
    const { start, end, text, label, confidence, probabilities, abstain, truncated, furniture, holder } = sentence;
    const said = holder ? [holder.name, holder.start, holder.end, holder.speech, holder.cue.text] : voice.map(() => "");
    const shares = labels().map((name) => probabilities[name]);
    return [start, end, text, label, confidence, ...shares, abstain, truncated, furniture, ...said, model, correction ?? ""];
  });
  return `\ufeff${write([[...header, ...voice, "model", "correction"], ...rows])}`; // the mark tells Excel that it is UTF-8
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

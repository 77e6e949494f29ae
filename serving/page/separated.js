/** Tables as separated values. Source of the format: RFC 4180; quotation marks double inside quoted cells. */

const DELIMITERS = [",", "\t", ";", "|"];
const NAMES = /^(text|sentence|statement|quote|content|body|passage|tweet|post)s?$/i;

/**
 * Return the rows of a text, each a list of cells with their exact content; a line that is wholly blank is no row.
 * A quotation mark opens a quoted cell only as its first character.
 */
export function parse(text, delimiter = guess(text), most = Infinity) {
  const rows = [];
  let row = [];
  let at = text.startsWith("\ufeff") ? 1 : 0;
  while (at < text.length && rows.length < most) {
    const [cell, end] = text[at] === '"' ? quoted(text, at, delimiter) : plain(text, at, delimiter);
    row.push(cell);
    at = end;
    if (text[at] === delimiter) {
      at += 1;
      if (at < text.length) continue;
      row.push(""); // the file ends behind a delimiter: an empty last cell
    }
    if (text[at] === "\r" && text[at + 1] === "\n") at += 1;
    at += 1;
    if (row.length > 1 || row[0] !== "") rows.push(row);
    row = [];
  }
  return rows;
}

function plain(text, start, delimiter) {
  let end = start;
  while (end < text.length && text[end] !== delimiter && text[end] !== "\n" && text[end] !== "\r") end += 1;
  return [text.slice(start, end), end];
}

function quoted(text, start, delimiter) {
  let cell = "";
  let from = start + 1;
  for (;;) {
    const end = text.indexOf('"', from);
    if (end < 0) return [cell + text.slice(from), text.length];
    cell += text.slice(from, end);
    if (text[end + 1] !== '"') {
      const [rest, after] = plain(text, end + 1, delimiter);
      return [cell + rest, after];
    }
    cell += '"';
    from = end + 2;
  }
}

/** Return the delimiter that cuts the first rows into the most cells, the same number in each. */
export function guess(text) {
  const head = text.slice(0, 65536);
  const widths = DELIMITERS.map((delimiter) => evenWidth(parse(head, delimiter, 20).slice(0, head.length < text.length ? -1 : undefined)));
  return DELIMITERS[widths.indexOf(Math.max(...widths))];
}

function evenWidth(rows) {
  return rows.length && rows.every((row) => row.length === rows[0].length) ? rows[0].length : 1;
}

/** Say whether a pasted text is a table rather than prose: rows of equal width below short, different, filled names. */
export function looksLikeTable(text) {
  const rows = parse(text, guess(text), 21).slice(0, 20);
  const names = rows[0] ?? [];
  return (
    rows.length > 1 &&
    names.length > 1 &&
    rows.every((row) => row.length === names.length) &&
    names.every((name) => name.trim() !== "" && name.length <= 40) &&
    new Set(names).size === names.length
  );
}

/** Return the index of the column that most likely holds the texts: one that is called so, else that with the longest cells. */
export function textColumn(names, rows) {
  const named = names.findIndex((name) => NAMES.test(name.trim()));
  if (named >= 0) return named;
  const lengths = names.map((_, column) => rows.slice(0, 100).reduce((sum, row) => sum + (row[column] ?? "").length, 0));
  return lengths.indexOf(Math.max(...lengths));
}

/** Return rows as a text; only cells that need it are quoted. */
export function write(rows, delimiter = ",") {
  const special = new RegExp(`["\r\n${delimiter === "|" ? "\\|" : delimiter}]`);
  const cell = (value) => (special.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  return rows.map((row) => `${row.map((value) => cell(String(value))).join(delimiter)}\r\n`).join("");
}

/** Return the text of a file's bytes, and whether they were UTF-8 or UTF-16; if not they are read as Windows-1252. */
export function decode(bytes) {
  const [first, second] = new Uint8Array(bytes.slice(0, 2));
  if (first === 0xff && second === 0xfe) return [new TextDecoder("utf-16le").decode(bytes), true];
  if (first === 0xfe && second === 0xff) return [new TextDecoder("utf-16be").decode(bytes), true];
  try {
    return [new TextDecoder("utf-8", { fatal: true }).decode(bytes), true];
  } catch {
    return [new TextDecoder("windows-1252").decode(bytes), false];
  }
}

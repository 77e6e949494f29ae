/** The page: the form, files that are chosen or dropped, what is told to the user. */

import { itemsOf } from "./article.js";
import { byId, element, show } from "./dom.js";
import { articleJson, articleTable, downloadButton, rowsJson, rowsTable } from "./downloads.js";
import { offerModel } from "./model.js";
import { Results } from "./results.js";
import { decode, looksLikeTable } from "./separated.js";
import { call, Refusal, told, useKey } from "./service.js";
import { useLabels } from "./stances.js";
import { TableForm } from "./tableform.js";

const limits = Object.fromEntries(Object.entries(document.body.dataset).map(([name, value]) => [name, Number(value)]));
const text = byId("text");
let working = null;

function announce(said) {
  byId("status").textContent = "";
  requestAnimationFrame(() => (byId("status").textContent = said)); // the same words twice are read twice
}

/** Tell what went wrong, with a button where it may go right the next time; count down where the service says when. */
function complain(error, again) {
  if (error.name === "AbortError") return;
  if (!(error instanceof Refusal)) throw error;
  if (error.status === 401) {
    show(true, byId("key-field"));
    byId("key").focus();
  }
  const [headline, advice] = told(error);
  const button = error.passing ? element("button", { type: "button", class: "small", click: again }, "Try again") : null;
  message(headline, advice, button);
  if (button && error.retryAfter) countDown(button, error.retryAfter);
}

function countDown(button, seconds) {
  button.disabled = seconds > 0;
  button.textContent = seconds > 0 ? `Try again in ${seconds} s` : "Try again";
  if (seconds > 0 && button.isConnected) setTimeout(() => countDown(button, seconds - 1), 1000);
}

function message(headline, advice, ...more) {
  const parts = [element("p", {}, element("strong", {}, headline), " ", advice), ...more];
  byId("message").replaceChildren(element("div", { class: "message" }, ...parts.filter(Boolean)));
}

function quiet() {
  byId("message").replaceChildren();
}

/** Do one thing at a time: what was under way is given up. */
async function work(doing, again) {
  working?.abort();
  const mine = new AbortController();
  working = mine;
  quiet();
  useKey(byId("key").value);
  document.body.classList.add("busy");
  try {
    await doing(mine.signal);
  } catch (error) {
    complain(error, again);
  } finally {
    if (working === mine) document.body.classList.remove("busy");
  }
}

async function analyze() {
  if (!text.value.trim()) {
    message("There is no text yet.", "Paste an article first, or try the example.");
    text.focus();
    return;
  }
  const article = text.value;
  if (new TextEncoder().encode(JSON.stringify({ text: article })).length > limits.bodyBytes) {
    // The service would close the connection before it has read so much, which the browser tells as a failure.
    message("This is too large for one request.", `The service takes at most ${limits.bodyBytes.toLocaleString("en")} bytes: enter a part of it.`);
    return;
  }
  announce("Reading the article.");
  await work(async (signal) => {
    const answer = await call("analyze", { text: article }, { signal });
    useLabels(Object.keys(answer.summary.labels));
    const items = itemsOf(answer);
    const { furniture } = answer.summary;
    const lines = furniture === 1 ? "line of page furniture is" : "lines of page furniture are";
    present({
      items,
      text: article,
      model: answer.model,
      notes: furniture ? [`${furniture} ${lines} not counted.`] : [],
      downloads: [
        downloadButton("Download CSV", { name: "stances.csv", type: "text/csv", content: () => articleTable(items, answer.model) }),
        downloadButton("Download JSON", { name: "stances.json", type: "application/json", content: () => articleJson(answer, items) }),
      ],
    });
  }, analyze);
}

function presentRows({ items, table, model }) {
  const about = { names: table.names, delimiter: table.delimiter, model };
  const missing = items.filter((item) => !item.prediction).length;
  present({
    items,
    text: null,
    model,
    notes: missing ? [`${missing} of ${items.length} rows could not be scored; their stance is empty in the downloads.`] : [],
    downloads: [
      downloadButton("Download CSV", { name: `${table.stem}.stances.csv`, type: "text/csv", content: () => rowsTable(items, about) }),
      downloadButton("Download JSON", { name: `${table.stem}.stances.json`, type: "application/json", content: () => rowsJson(items, about) }),
    ],
  });
}

function present(result) {
  const place = byId("results");
  new Results(place, { ...result, announce, leave });
  show(false, byId("entry"), ...document.querySelectorAll("#labels, .answer"));
  show(true, place);
  document.title = "Analysis · Stance";
  place.focus();
  window.scrollTo(0, 0);
  announce(byId("results-title").textContent);
}

function leave() {
  const place = byId("results");
  show(false, place);
  place.replaceChildren();
  show(true, byId("entry"), ...document.querySelectorAll("#labels"));
  document.title = "Stance";
  text.focus();
}

const tableForm = new TableForm(byId("table-form"), { limits, work, stop: () => working?.abort(), announce, present: presentRows });

function readText(content, name) {
  if (/\.(csv|tsv)$/i.test(name) || looksLikeTable(content)) {
    tableForm.open(content, name);
    return;
  }
  text.value = content;
  text.focus();
  announce(`${name} is in the text field.`);
}

async function readFile(file) {
  quiet();
  if (file.type && !file.type.startsWith("text/") && !/\.(txt|md|csv|tsv)$/i.test(file.name)) {
    message("This is no text file.", `${file.name} cannot be read here: drop plain text, or a table as CSV.`);
    return;
  }
  const [content, unicode] = decode(await file.arrayBuffer());
  if (!unicode) message("Not UTF-8.", `${file.name} was read as Windows-1252: look whether accents and quotation marks are right.`);
  if (byId("entry").hidden) leave();
  readText(content, file.name);
}

function listenToDrops() {
  const zone = byId("dropzone");
  const files = (event) => event.dataTransfer?.types.includes("Files");
  window.addEventListener("dragover", (event) => {
    if (!files(event)) return;
    event.preventDefault();
    show(true, zone);
  });
  window.addEventListener("dragleave", (event) => event.relatedTarget === null && show(false, zone));
  window.addEventListener("drop", (event) => {
    show(false, zone);
    if (!files(event)) return;
    event.preventDefault();
    if (event.dataTransfer.files.length) readFile(event.dataTransfer.files[0]);
  });
}

function listen() {
  byId("form").addEventListener("submit", (event) => {
    if (event.submitter?.value && event.submitter.value !== "page") return; // the server's own downloads
    event.preventDefault();
    analyze();
  });
  byId("form").noValidate = true;
  byId("choose-file").addEventListener("click", () => byId("file").click());
  byId("file").addEventListener("change", () => byId("file").files.length && readFile(byId("file").files[0]));
  byId("example").addEventListener("click", async (event) => {
    event.preventDefault();
    text.value = await (await fetch("ui/example.txt")).text();
    text.focus();
    text.setSelectionRange(0, 0);
    text.scrollTop = 0;
  });
  text.addEventListener("paste", () =>
    setTimeout(() => {
      if (!looksLikeTable(text.value)) return;
      const pasted = text.value;
      const open = element("button", { type: "button", class: "small", click: () => (quiet(), tableForm.open(pasted, "pasted.csv")) }, "Read it as a table");
      message("This looks like a table.", "Each row can be scored by itself.", open);
    }),
  );
  listenToDrops();
  offerModel();
}

show(true, ...document.querySelectorAll(".scripted"));
listen();

/** Scores the rows of a file through `POST /predict`, in requests that the service's limits admit. */

import { call, Refusal } from "./service.js";

/** How often a request that was refused for the moment is sent again. */
const TRIES = 8;
const ROOM = 0.9;

/**
 * Fill in `item.prediction`, or `item.why` where an item cannot be scored. One request at a time: the service batches by itself,
 * and others may be waiting. Return the model that answered last.
 * @throws {Refusal} what is not about a single text, after some patience with a busy service
 */
export async function scoreItems(items, { limits, signal, progressed, waiting }) {
  let model = "";
  let done = 0;
  for (const item of items) {
    if (item.text.trim() === "") item.why = "there is no text";
    else if (Array.from(item.text).length > limits.textCharacters) item.why = `it has over ${limits.textCharacters} characters`;
  }
  for (const part of parts(items.filter((item) => !item.why), limits)) {
    model = (await scorePart(part, { signal, waiting })) || model;
    done += part.length;
    progressed(done);
  }
  return model;
}

async function scorePart(part, { signal, waiting }) {
  let left = part;
  for (let tried = 1; left.length; tried += 1) {
    try {
      const { model, predictions } = await call("predict", { texts: left.map((item) => item.text) }, { signal });
      left.forEach((item, index) => (item.prediction = predictions[index]));
      return model;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const faults = new Map(error.errors.filter(({ loc }) => loc[0] === "texts" && Number.isInteger(loc[1])).map(({ loc, message }) => [loc[1], message]));
      if (error.status === 422 && faults.size) {
        left.forEach((item, index) => faults.has(index) && (item.why = faults.get(index)));
        left = left.filter((item) => !item.why);
      } else if (error.passing && tried < TRIES) await patience(error, { signal, waiting });
      else throw error;
    }
  }
  return "";
}

async function patience(refusal, { signal, waiting }) {
  const seconds = refusal.retryAfter || 1;
  waiting(refusal, seconds);
  await new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, 1000 * seconds);
    signal.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });
}

function* parts(items, { texts, bodyBytes }) {
  let part = [];
  let bytes = 0;
  const encoder = new TextEncoder();
  for (const item of items) {
    const size = encoder.encode(JSON.stringify(item.text)).length + 1;
    if (part.length && (part.length === texts || bytes + size > ROOM * bodyBytes)) {
      yield part;
      [part, bytes] = [[], 0];
    }
    part.push(item);
    bytes += size;
  }
  if (part.length) yield part;
}

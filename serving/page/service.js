/** Calls the service that served this page, and nothing else. The key is kept in this module's memory alone. */

let key = "";

/** Send this key from now on. */
export function useKey(value) {
  key = value.trim();
}

/** Say whether a key is sent. */
export function hasKey() {
  return key !== "";
}

/** The service did not do what it was asked. `status` is 0 where it could not be reached at all. */
export class Refusal extends Error {
  constructor(status, problem = {}, retryAfter = 0) {
    super(problem.detail || "");
    this.status = status;
    this.detail = problem.detail || "";
    this.errors = problem.errors || [];
    this.retryAfter = retryAfter;
  }

  /** Whether the same request may succeed a little later. */
  get passing() {
    return this.status === 0 || this.status === 429 || this.status === 503 || this.status === 504;
  }
}

/**
 * Post a body as JSON, or get where there is none; return the answer.
 * @throws {Refusal} whatever else came back, or nothing did
 * @throws {DOMException} named AbortError: `signal` was used
 */
export async function call(path, body, { signal } = {}) {
  const headers = key ? { Authorization: `Bearer ${key}` } : {};
  const request = body === undefined ? { headers } : post(body, headers);
  let response;
  try {
    response = await fetch(path, { ...request, signal, cache: "no-store", credentials: "same-origin" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal(0);
  }
  const content = await read(response);
  if (response.ok && content !== null) return content;
  throw new Refusal(response.status, content ?? {}, Number(response.headers.get("Retry-After")) || 0);
}

function post(body, headers) {
  return { method: "POST", headers: { ...headers, "Content-Type": "application/json" }, body: JSON.stringify(body) };
}

async function read(response) {
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    return null; // not the service's own answer: a proxy before it, perhaps
  }
}

/** Return what to tell a person about a refusal: a headline and a sentence that says what can be done. */
export function told(refusal) {
  const seconds = refusal.retryAfter || 1;
  switch (refusal.status) {
    case 0:
      return ["The service cannot be reached.", "It may have stopped, or the network is down. What you entered is still here."];
    case 401:
      return hasKey()
        ? ["This key was not accepted.", "Check it and try again."]
        : ["This service asks for a key.", "Enter it below the text. It is kept in this page's memory only."];
    case 404:
      return ["This service does not offer that.", "It may be of an older version than this page."];
    case 413:
      return ["This is too large for one request.", `The service answered: ${refusal.detail}`];
    case 422:
      return ["The service cannot use this text.", `It answered: ${refusal.detail}`];
    case 429:
      return ["The service is busy.", `It asks to come back in ${seconds} ${seconds === 1 ? "second" : "seconds"}.`];
    case 503:
      return ["The service cannot do this now.", refusal.detail || "Try again shortly."];
    default:
      return ["The service failed to answer.", refusal.detail || `It answered with status ${refusal.status}.`];
  }
}

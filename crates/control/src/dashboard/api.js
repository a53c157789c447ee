// The admin API: calls, what it says when it refuses, and the stream of what goes on.

const BASE = new URL("api/v1/", document.baseURI);
const KEPT_TOKEN = "plimsoll-token";

// A stream that says nothing for this long, though it should each second, is dead even if nobody told us.
const SILENCE_MS = 8000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10000;

/** What the API said when it refused, in its own words (RFC 9457). */
export class Problem extends Error {
  constructor(status, { title, detail, pointer } = {}) {
    super([detail || title || `the API answered ${status}`, pointer && `(at ${pointer})`].filter(Boolean).join(" "));
    this.status = status;
    this.title = title;
  }
}

let ask = async () => null;
let asked = null;

/** Who is asked for the token when the API wants one: a function of whether one was wrong, that promises the text. */
export const askTokenOf = (whom) => (ask = whom);

/** A path of the API from its parts. */
export const path = (...parts) => parts.map(encodeURIComponent).join("/");

/** Makes a call and promises the JSON of its answer, or fails with a `Problem`. */
export async function call(method, where, body) {
  const options = { method, headers: { Accept: "application/json" } };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await request(where, options);
  return response.json();
}

async function request(where, options) {
  for (;;) {
    const token = sessionStorage.getItem(KEPT_TOKEN);
    const headers = { ...options.headers, ...(token && { Authorization: `Bearer ${token}` }) };
    const response = await fetch(new URL(where, BASE), { ...options, headers, cache: "no-store" });
    if (response.ok) return response;
    if (response.status !== 401) throw new Problem(response.status, await said(response));
    // Calls that fail together ask together; one that failed with an older token just tries the new one.
    if (sessionStorage.getItem(KEPT_TOKEN) === token) {
      asked ??= ask(token !== null).finally(() => (asked = null));
      sessionStorage.setItem(KEPT_TOKEN, await asked);
    }
  }
}

async function said(response) {
  try {
    return await response.json();
  } catch {
    return {};
  }
}

/**
 * Follows the stream and connects anew when it breaks. `where()` is asked for the path and the number of the last
 * event each time; `told` has `open()`, `message(kind, data, id)` and `lost(error)`, whose answer `false` ends it.
 * Gives a function that ends it.
 */
export function follow(where, told) {
  const end = new AbortController();
  run(where, told, end.signal);
  return () => end.abort();
}

async function run(where, told, ended) {
  let pause = FIRST_PAUSE_MS;
  while (!ended.aborted) {
    const silence = new AbortController();
    const signal = AbortSignal.any([ended, silence.signal]);
    let watch = setTimeout(() => silence.abort(), SILENCE_MS);
    try {
      const { path: at, last } = where();
      const headers = { Accept: "text/event-stream", ...(last && { "Last-Event-ID": String(last) }) };
      const response = await request(at, { headers, signal });
      told.open();
      for await (const { event, data, id } of messages(response.body)) {
        clearTimeout(watch);
        watch = setTimeout(() => silence.abort(), SILENCE_MS);
        pause = FIRST_PAUSE_MS;
        told.message(event, data, id);
      }
      if (told.lost(null) === false) return;
    } catch (error) {
      if (ended.aborted || told.lost(error) === false) return;
    } finally {
      clearTimeout(watch);
    }
    // Spread, so that many pages do not come back in one moment.
    await new Promise((go) => setTimeout(go, pause * (0.75 + Math.random() / 2)));
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
}

// Server-sent events as the HTML standard defines them, section 9.2.6.
async function* messages(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  let looked = 0;
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      text += value;
      for (;;) {
        const end = text.indexOf("\n\n", looked);
        if (end < 0) break;
        const message = parse(text.slice(0, end));
        text = text.slice(end + 2);
        looked = 0;
        if (message) yield message;
      }
      looked = Math.max(0, text.length - 1);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function parse(block) {
  const message = { event: "message", data: "", id: null };
  const data = [];
  for (const line of block.split("\n")) {
    const colon = line.indexOf(":");
    if (colon < 1) continue;
    const [field, value] = [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, "")];
    if (field === "data") data.push(value);
    else if (field === "event" || field === "id") message[field] = value;
  }
  message.data = data.join("\n");
  return data.length ? message : null;
}

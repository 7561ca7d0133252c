// Requests to the service. Whatever goes wrong comes out as a Failure whose words can be shown.

const KEY = "hdhe-key"; // in the session storage: gone with the tab, and seen by no other

export class Failure extends Error {
  // status: 0 where no answer came. retryAfter: seconds, where the service names some.
  constructor(title, detail, status = 0, retryAfter = null) {
    super(detail || title);
    this.title = title;
    this.detail = detail;
    this.status = status;
    this.retryAfter = retryAfter;
  }

  get needsKey() {
    return this.status === 401 || this.status === 403;
  }

  get passes() {
    return [0, 429, 500, 502, 503, 504].includes(this.status);
  }
}

// For answers that are not the service's own: something between it and the page has spoken.
const WORDS = {
  401: ["A key is needed", "This service answers only to those who have a key."],
  403: ["The key does not allow this", "Changing the collection needs a key that may write."],
  404: ["There is no such thing here", "It may have been deleted meanwhile."],
  408: ["The upload took too long", "Try again, or send a smaller image."],
  413: ["The image is too large", "Send a smaller file."],
  429: ["Too many requests", "Wait a moment, then try again."],
  500: ["The server failed", "The cause is in the server's log."],
  502: ["The service cannot be reached", "The server in front of it gets no answer."],
  503: ["The service is busy", "Wait a moment, then try again."],
  504: ["The service takes too long", "The server in front of it has given up waiting."],
  507: ["The collection cannot be stored", "The server's disk is full or read-only."],
};

export const key = {
  get: () => sessionStorage.getItem(KEY),
  set: (value) => sessionStorage.setItem(KEY, value),
  forget: () => sessionStorage.removeItem(KEY),
};

async function send(path, { bytes = 0, ...options } = {}) {
  const headers = { ...options.headers };
  if (key.get()) headers.Authorization = `Bearer ${key.get()}`;
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    // A server that refuses a large body closes the connection while the browser is still sending.
    const large = bytes > 2 ** 24 ? ` Or the file of ${(bytes / 2 ** 20).toFixed(0)} MiB is more than it takes.` : "";
    throw new Failure("The service does not answer", `Check that it is still running, then try again.${large}`);
  }
  if (response.ok) return response;
  throw await failureOf(response);
}

async function failureOf(response) {
  let problem = {};
  try {
    // Whoever has not entered a key does not want to hear of headers.
    if (response.status !== 401 || key.get()) problem = await response.json();
  } catch {
    // Not the service's own answer; its status has to do.
  }
  const [title, detail] = WORDS[response.status] ?? [`The service answered ${response.status}`, ""];
  const sentence = problem.detail ?? (problem.title ? "" : detail);
  const seconds = Number(response.headers.get("Retry-After"));
  return new Failure(
    problem.title ?? title,
    sentence && sentence[0].toUpperCase() + sentence.slice(1),
    response.status,
    Number.isFinite(seconds) && seconds > 0 ? seconds : null,
  );
}

async function answer(path, options) {
  const response = await send(path, options);
  return response.status === 204 ? null : response.json();
}

const pathOf = (id) => `/v1/items/${encodeURIComponent(id)}`;
const asJson = (body) => ({
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify(body),
});

export const imageOf = (id) => `${pathOf(id)}/image`;

export const stats = () => answer("/v1/stats");
export const model = () => answer("/v1/model");
export const recall = () => answer("/v1/recall?k=1,2,4,8");
export const item = (id, signal) => answer(pathOf(id), { signal });

// An id that the service would not take counts as free: what is wrong with it, the upload says.
export async function exists(id, signal) {
  try {
    await item(id, signal);
    return true;
  } catch (failure) {
    if ([404, 422].includes(failure.status)) return false;
    throw failure;
  }
}

export const remove = (id) => answer(pathOf(id), { method: "DELETE" });
export const picture = async (id, signal) => (await send(imageOf(id), { signal })).blob();

export function items(limit, label, signal) {
  const asked = new URLSearchParams({ limit, ...(label === undefined ? {} : { label }) });
  return answer(`/v1/items?${asked}`, { signal });
}

export function search(query, { k, filter, signal }) {
  if (query.id !== undefined) return answer("/v1/search", { ...asJson({ id: query.id, k, filter }), signal });
  const form = new FormData();
  form.append("image", query.image, "query");
  form.append("k", String(k));
  if (filter) form.append("filter", JSON.stringify(filter));
  return answer("/v1/search", { method: "POST", body: form, signal, bytes: query.image.size });
}

// The map of what makes the query and an item alike, over the item or over the query: a PNG, and the number that it adds
// up to. head: one of the model's, from 1; all together where there is none.
export async function explain(query, id, { view, head, signal }) {
  const response = await send("/v1/explanations", { ...explanation(query, { id, view, head }), signal });
  return { picture: await response.blob(), part: Number(response.headers.get("Hdhe-Part")) };
}

function explanation(query, asked) {
  if (query.id !== undefined) return asJson({ query_id: query.id, ...asked });
  const form = new FormData();
  form.append("image", query.image, "query");
  for (const [name, value] of Object.entries(asked)) if (value !== undefined) form.append(name, value);
  return { method: "POST", body: form };
}

// images: [{ file, id, label, attributes }]; a result for each.
export function add(images, signal) {
  const form = new FormData();
  let bytes = 0;
  for (const { file, id, label, attributes } of images) {
    form.append("image", file, "image");
    form.append("id", id);
    form.append("label", label);
    form.append("attributes", JSON.stringify(attributes));
    bytes += file.size;
  }
  return answer("/v1/items", { method: "POST", body: form, signal, bytes });
}

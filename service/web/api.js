// Requests to the service. Whatever goes wrong comes out as a Failure whose words can be shown.

export class Failure extends Error {
  constructor(title, detail, status = 0) {
    super(detail || title);
    this.title = title;
    this.detail = detail;
    this.status = status;
  }
}

async function answer(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("The service does not answer", "Check that it is still running, then try again.");
  }
  if (response.ok) return response.json();
  let problem = {};
  try {
    problem = await response.json();
  } catch {
    // Something between the page and the service answered in its stead; its status has to do.
  }
  const sentence = problem.detail ?? "";
  throw new Failure(
    problem.title ?? `The service answered ${response.status}`,
    sentence && sentence[0].toUpperCase() + sentence.slice(1),
    response.status,
  );
}

export const imageOf = (id) => `/v1/items/${encodeURIComponent(id)}/image`;

export const stats = () => answer("/v1/stats");
export const model = () => answer("/v1/model");
export const recall = () => answer("/v1/recall?k=1,2,4,8");
export const item = (id, signal) => answer(`/v1/items/${encodeURIComponent(id)}`, { signal });
export const items = (limit) => answer(`/v1/items?limit=${limit}`);

export function searchImage(file, k, signal) {
  const form = new FormData();
  form.append("image", file, "query");
  form.append("k", String(k));
  return answer("/v1/search", { method: "POST", body: form, signal });
}

export function searchItem(id, k, signal) {
  const headers = { "Content-Type": "application/json" };
  return answer("/v1/search", { method: "POST", headers, body: JSON.stringify({ id, k }), signal });
}

// The maps of what makes the query and an item alike: asked for once, kept while the query stands.

import * as api from "./api.js";

const KEPT = 80;

let query = null; // { id } or { image }
const kept = new Map(); // "view id" -> promise of an object URL
let asking = new AbortController();

export function setQuery(next) {
  asking.abort();
  asking = new AbortController();
  for (const address of kept.values()) address.then(URL.revokeObjectURL, () => {});
  kept.clear();
  query = next;
}

export const canExplain = () => query !== null;

// The object URL of a picture; view: item, query or panels. Raises Failure.
export function why(id, view = "item") {
  const name = `${view} ${id}`;
  if (!kept.has(name)) {
    const address = api.explain(query, id, view, asking.signal).then((blob) => URL.createObjectURL(blob));
    // What failed may be tried again.
    address.catch(() => kept.delete(name));
    kept.set(name, address);
    if (kept.size > KEPT) {
      const [oldest, dropped] = kept.entries().next().value;
      kept.delete(oldest);
      dropped.then(URL.revokeObjectURL, () => {});
    }
  }
  return kept.get(name);
}

// The maps of what makes the query and an item alike: asked for once, kept while the query stands.

import * as api from "./api.js";

const KEPT = 80;

let query = null; // { id } or { image }
const kept = new Map(); // "view head id" -> promise of { address, part }
let asking = new AbortController();

const giveBack = (map) => map.then(({ address }) => URL.revokeObjectURL(address), () => {});

export function setQuery(next) {
  asking.abort();
  asking = new AbortController();
  for (const map of kept.values()) giveBack(map);
  kept.clear();
  query = next;
}

export const canExplain = () => query !== null;

// { address, part }: the object URL of the picture, and what the map in it adds up to. view: item or query; head: one of
// the model's heads, from 1, or all together. Raises Failure.
export function why(id, view = "item", head = undefined) {
  const name = `${view} ${head ?? "all"} ${id}`;
  if (!kept.has(name)) {
    const map = api
      .explain(query, id, { view, head, signal: asking.signal })
      .then(({ picture, part }) => ({ address: URL.createObjectURL(picture), part }));
    // What failed may be tried again.
    map.catch(() => kept.delete(name));
    kept.set(name, map);
    if (kept.size > KEPT) {
      const [oldest, dropped] = kept.entries().next().value;
      kept.delete(oldest);
      giveBack(dropped);
    }
  }
  return kept.get(name);
}

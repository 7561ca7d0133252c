// The page: what is asked, what is shown, and the history between them.

import { listenForAdding, openAdding } from "./adding.js";
import * as api from "./api.js";
import { listenForPhotographs } from "./camera.js";
import { crop } from "./crop.js";
import { setModel, showDetails } from "./details.js";
import { byId, dialog, plural, wait } from "./dom.js";
import { currentFilter, learn, listenForFilter, setFilter } from "./filter.js";
import { clearGrid, dim, dropItem, showItems } from "./grid.js";
import { askForKey, listenForKey } from "./key.js";
import { milliseconds, record } from "./latency.js";
import * as live from "./live.js";
import { chosenK, hidePreview, listenForImages, listenForK, offerAdding, showPreview } from "./query.js";
import { varied } from "./varied.js";
import { setQuery } from "./why.js";

const BROWSED = 400; // items looked through for a varied start
const BUSY_TRIES = 3;

const title = byId("results-title");
const summary = byId("summary");
const working = byId("working");

// What is asked: { kind: "start" | "item" | "image", id | key, filter }. The pictures stay here, history takes the key.
let current = { kind: "start", filter: null };
let shown = [];
let took = 0; // milliseconds of the last search
let running = null; // the search under way, which a newer one cuts off
const images = new Map(); // key -> { file, name, whole, box }: whole is what was cropped, box the part

function showFailure(failure) {
  byId("error-title").textContent = failure.title ?? "Something went wrong on this page";
  byId("error-detail").textContent = failure.detail ?? failure.message;
  byId("error-again").hidden = failure.passes === false;
  byId("error-key").hidden = !failure.needsKey;
  byId("error").hidden = false;
}

// One thing at a time: a newer one aborts the older, and only the newest may show its end.
async function attempt(work) {
  running?.abort();
  const mine = new AbortController();
  running = mine;
  working.hidden = false;
  byId("error").hidden = true;
  dim(true);
  try {
    await patiently(() => work(mine.signal), mine.signal);
  } catch (failure) {
    if (running !== mine) return;
    clearGrid();
    shown = [];
    summary.textContent = "";
    title.textContent = "No results";
    showFailure(failure);
    if (failure.status === 401) askForKey(failure.detail, begin);
  } finally {
    if (running === mine) {
      working.hidden = true;
      dim(false);
    }
  }
}

// A busy service names the time after which it may be asked again; a starting one is waited for.
async function patiently(work, signal) {
  for (let left = BUSY_TRIES; ; ) {
    try {
      return await work();
    } catch (failure) {
      const starting = failure.title === "The service is starting";
      if (!starting) left -= 1;
      if (![429, 503].includes(failure.status) || left < 0 || failure.retryAfter > 10) throw failure;
      title.textContent = starting ? "Starting" : "Busy";
      summary.textContent = starting ? "The model is being loaded…" : "The service asks to wait a moment…";
      await wait(failure.retryAfter ?? 2);
      signal.throwIfAborted();
    }
  }
}

const cardActions = (queryLabel) => ({
  queryLabel,
  onChoose: (item) => go({ kind: "item", id: item.id }),
  onDetails: (item) =>
    showDetails(item, {
      query: current.kind === "start" ? null : { source: byId("preview-image").src },
      onMore: (chosen) => go({ kind: "item", id: chosen.id }),
      onDelete: (deleted) => {
        shown = dropItem(deleted.id, shown);
        if (current.kind !== "start") summarise(queryLabel);
        live.refresh().catch(() => {});
      },
    }),
});

function show(hits, queryLabel) {
  shown = hits;
  learn(hits);
  showItems(hits, cardActions(queryLabel));
}

function summarise(queryLabel) {
  const labelled = queryLabel !== undefined && queryLabel !== null;
  const same = shown.filter((hit) => hit.label === queryLabel).length;
  summary.textContent = shown.length
    ? [plural(shown.length, "hit"), labelled && `${same} of the same label`, milliseconds(took)].filter(Boolean).join(" · ")
    : currentFilter() ? "Nothing passes the filter." : "Nothing was found.";
}

async function search(query, signal, queryLabel) {
  setQuery(query);
  const filter = currentFilter();
  const started = performance.now();
  const answer = await api.search(query, { k: chosenK(), filter, signal });
  took = performance.now() - started;
  record(answer.took_ms, took);
  title.textContent = "Most alike";
  show(answer.hits, queryLabel);
  summarise(queryLabel);
}

function byImage({ file, name, box }) {
  showPreview({ source: file, kind: box ? "A part of your image" : "Your image", name, alt: "The image you search by" });
  return attempt(async (signal) => {
    await search({ image: file }, signal);
    if (!signal.aborted) offerAdding(); // a file that is no image is not for the collection either
  });
}

function byItem(id) {
  return attempt(async (signal) => {
    const pictured = api.picture(id, signal).catch(() => api.imageOf(id)); // an item may be without one
    const [item, source] = await Promise.all([api.item(id, signal), pictured]);
    const name = item.label ?? id;
    showPreview({ source, kind: "More like", name, alt: `Picture of ${name}` });
    learn([item]);
    await search({ id }, signal, item.label);
  });
}

function start() {
  hidePreview();
  setQuery(null);
  return attempt(async (signal) => {
    const filter = currentFilter();
    const label = typeof filter?.label === "string" ? filter.label : undefined;
    const page = await api.items(BROWSED, label, signal);
    byId("empty").hidden = page.items.length > 0 || filter !== null;
    title.textContent = page.items.length ? "Or start from one of these" : filter ? "None of these" : "An empty collection";
    const partly = filter && JSON.stringify(filter) !== JSON.stringify({ label });
    summary.textContent = partly ? "The whole filter holds once you search." : "";
    show(varied(page.items, chosenK()));
  });
}

function run() {
  byId("empty").hidden = true;
  if (current.kind === "image" && images.has(current.key)) return byImage(images.get(current.key));
  if (current.kind === "item") return byItem(current.id);
  return start();
}

function addressOf({ kind, id, filter }) {
  const parts = new URLSearchParams();
  if (kind === "item") parts.set("item", id);
  if (filter) parts.set("filter", JSON.stringify(filter));
  return parts.size ? `?${parts}` : "/";
}

function fromAddress() {
  const parts = new URLSearchParams(location.search);
  let filter = null;
  try {
    filter = JSON.parse(parts.get("filter"));
  } catch {
    // An address that was cut off; the search is worth more than its filter.
  }
  const id = parts.get("item");
  return id === null ? { kind: "start", filter } : { kind: "item", id, filter };
}

// Each search is a step of the browser's history; an item's has an address of its own.
async function go(next) {
  current = { ...next, filter: currentFilter() };
  history.pushState(current, "", addressOf(current));
  await run();
  // On a phone the hits lie below the fold; and a keyboard or a reader goes on from there.
  title.focus({ preventScroll: true });
  const top = byId("results").getBoundingClientRect().top;
  if (top > window.innerHeight * 0.7 || top < 0) document.querySelector("main").scrollIntoView();
}

function searchImage(file, more = {}) {
  const key = images.size + 1;
  images.set(key, { file, name: file.name || "Pasted image", ...more });
  go({ kind: "image", key });
}

async function cropQuery() {
  const image = current.kind === "image" ? images.get(current.key) : null;
  try {
    const whole = image?.whole ?? image?.file ?? (await api.picture(current.id));
    const name = image?.name ?? byId("preview-name").textContent;
    await crop(whole, image?.box, (part, box) => searchImage(new File([part], name, { type: part.type }), { whole, box, name }));
  } catch (failure) {
    showFailure(failure instanceof api.Failure ? failure : { title: "The picture cannot be shown", detail: "This browser does not read it." });
  }
}

window.addEventListener("popstate", (event) => {
  for (const open of document.querySelectorAll("dialog[open]")) open.close();
  current = event.state ?? fromAddress();
  setFilter(current.filter ?? null);
  run();
});

async function begin() {
  await attempt(async () => live.showStats(await api.stats()));
  if (!byId("error").hidden) return;
  await run();
  try {
    const model = await api.model();
    live.showModel(model);
    setModel(model);
  } catch {
    // The panel then lacks a column; the search does not.
  }
}

const keys = dialog("keys-dialog");
byId("keys-open").addEventListener("click", () => keys.showModal());
byId("put-example").textContent =
  `curl -X PUT -F image=@photo.jpg -F label=vase ${location.origin}/v1/items/photo.jpg`;
byId("empty-add").addEventListener("click", () => openAdding());
byId("add-query").addEventListener("click", () => openAdding([images.get(current.key).file]));
byId("crop").addEventListener("click", cropQuery);
byId("error-again").addEventListener("click", () => begin());
byId("error-key").addEventListener("click", () => askForKey(byId("error-detail").textContent, begin));
listenForImages((file) => searchImage(file));
listenForPhotographs((file) => searchImage(file));
listenForK(() => run());
listenForFilter(() => go(current));
listenForKey(begin);
listenForAdding(() => {
  live.refresh().catch(() => {});
  run();
});

current = fromAddress();
setFilter(current.filter);
live.watch();
await begin();

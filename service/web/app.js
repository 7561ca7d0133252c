// The page: what is asked, what is shown, and the history between them.

import * as about from "./about.js";
import * as api from "./api.js";
import { clearGrid, dim, showItems } from "./grid.js";
import { chosenK, hidePreview, listenForImages, listenForK, showPreview } from "./query.js";

const BROWSED = 400; // items looked through for a varied start
const START = 12; // and shown

const title = document.getElementById("results-title");
const summary = document.getElementById("summary");
const working = document.getElementById("working");
const errorBox = document.getElementById("error");

let current = { kind: "start" };
let running = null; // the search under way, which a newer one cuts off
const images = new Map(); // history key -> the image that was searched

function showFailure(failure) {
  document.getElementById("error-title").textContent = failure.title ?? "Something went wrong on this page";
  document.getElementById("error-detail").textContent = failure.detail ?? failure.message;
  errorBox.hidden = false;
}

// One thing at a time: a newer one aborts the older, and only the newest may show its end.
async function attempt(work) {
  running?.abort();
  const mine = new AbortController();
  running = mine;
  working.hidden = false;
  errorBox.hidden = true;
  dim(true);
  try {
    await work(mine.signal);
  } catch (failure) {
    if (running !== mine) return;
    clearGrid();
    summary.textContent = "";
    title.textContent = "No results";
    showFailure(failure);
  } finally {
    if (running === mine) {
      working.hidden = true;
      dim(false);
    }
  }
}

const plural = (count, one) => `${count} ${one}${count === 1 ? "" : "s"}`;

function timing(took) {
  const total = took.decode + took.wait + took.embed + took.search;
  return `${total < 10 ? total.toFixed(1) : Math.round(total)} ms`;
}

function show(hits, took, queryLabel) {
  title.textContent = "Most alike";
  const same = hits.filter((hit) => hit.label === queryLabel).length;
  const labelled = queryLabel !== undefined && queryLabel !== null;
  summary.textContent = hits.length
    ? [plural(hits.length, "hit"), labelled && `${same} of the same label`, timing(took)].filter(Boolean).join(" · ")
    : "Nothing was found.";
  showItems(hits, { queryLabel, onChoose: (item) => go({ kind: "item", id: item.id }) });
}

function byImage(file) {
  showPreview({ source: file, kind: "Your image", name: file.name || "Pasted image", alt: "The image you search by" });
  return attempt(async (signal) => {
    const answer = await api.searchImage(file, chosenK(), signal);
    show(answer.hits, answer.took_ms);
  });
}

function byItem(id) {
  showPreview({ source: api.imageOf(id), kind: "More like", name: id, alt: `Picture of ${id}` });
  return attempt(async (signal) => {
    const [item, answer] = await Promise.all([api.item(id, signal), api.searchItem(id, chosenK(), signal)]);
    const name = item.label ?? id;
    showPreview({ source: api.imageOf(id), kind: "More like", name, alt: `Picture of ${name}` });
    show(answer.hits, answer.took_ms, item.label);
  });
}

// The collection in the order of ids begins with many of one label; take turns through the labels instead.
function varied(items, count) {
  const byLabel = new Map();
  for (const item of items) {
    const group = byLabel.get(item.label) ?? [];
    group.push(item);
    byLabel.set(item.label, group);
  }
  const groups = [...byLabel.values()];
  const chosen = [];
  for (let turn = 0; chosen.length < Math.min(count, items.length); turn += 1) {
    for (const group of groups) if (turn < group.length) chosen.push(group[turn]);
  }
  return chosen.slice(0, count);
}

function start() {
  hidePreview();
  return attempt(async () => {
    const page = await api.items(BROWSED);
    document.getElementById("empty").hidden = page.items.length > 0;
    title.textContent = page.items.length ? "Or start from one of these" : "An empty collection";
    summary.textContent = "";
    showItems(varied(page.items, START), { onChoose: (item) => go({ kind: "item", id: item.id }) });
  });
}

function run() {
  document.getElementById("empty").hidden = true;
  if (current.kind === "image" && images.has(current.key)) return byImage(images.get(current.key));
  if (current.kind === "item") return byItem(current.id);
  return start();
}

// Each search is a step of the browser's history; an item's has an address of its own.
async function go(next) {
  current = next;
  history.pushState(next, "", next.kind === "item" ? `?item=${encodeURIComponent(next.id)}` : "/");
  await run();
  // On a phone the hits lie below the fold; and a keyboard or a reader goes on from there.
  title.focus({ preventScroll: true });
  const results = document.getElementById("results");
  if (results.getBoundingClientRect().top > window.innerHeight * 0.7 || results.getBoundingClientRect().top < 0) {
    document.querySelector("main").scrollIntoView();
  }
}

window.addEventListener("popstate", (event) => {
  current = event.state ?? fromAddress();
  run();
});

function fromAddress() {
  const id = new URLSearchParams(location.search).get("item");
  return id === null ? { kind: "start" } : { kind: "item", id };
}

// While the service loads its model it answers 503; the page waits with it.
async function whenReady(work) {
  for (;;) {
    try {
      return await work();
    } catch (failure) {
      if (failure.status !== 503) throw failure;
      title.textContent = "Starting";
      summary.textContent = "The model is being loaded…";
      await new Promise((resolve) => setTimeout(resolve, 1500));
    }
  }
}

document.getElementById("put-example").textContent =
  `curl -X PUT -F image=@photo.jpg -F label=vase ${location.origin}/v1/items/photo.jpg`;
listenForImages((file) => {
  const key = images.size + 1;
  images.set(key, file);
  go({ kind: "image", key });
});
listenForK(() => {
  if (current.kind !== "start") run();
});

current = fromAddress();
try {
  working.hidden = false;
  about.showStats(await whenReady(api.stats));
  await run();
  about.showModel(await api.model());
  about.showRecallWhenSeen();
} catch (failure) {
  working.hidden = true;
  title.textContent = "No results";
  showFailure(failure);
}

// The panel: how well the collection is searched, by which model, what is in it; and when that changes.

import * as api from "./api.js";
import { byId, facts, make, number, percent, plural } from "./dom.js";

const POLL_MS = 15_000;
const STALE_MS = 3_000;

let sequence = null; // of what is shown
let measured = null; // the sequence that the shown recall is of
let computed = null; // when, in milliseconds of this clock
let inSight = false;
let asking = false;

function bytes(count) {
  const mebibytes = count / 2 ** 20;
  return mebibytes < 10 ? `${mebibytes.toFixed(1)} MiB` : `${number.format(Math.round(mebibytes))} MiB`;
}

export function showStats(stats) {
  sequence = stats.sequence;
  const counts = [plural(stats.items, "image"), ...(stats.labels ? [plural(stats.labels, "label")] : [])];
  // Where there is little room a line ends between the counts, not within one.
  byId("collection-line").textContent = counts.map((count) => count.replaceAll(" ", "\u00a0")).join(" · ");
  const found = Object.entries(stats.index_recall).map(([k, value]) => `${percent(value)} of the true ${k} nearest`);
  facts(byId("stats"), [
    ["Images", number.format(stats.items)],
    ["Labels", number.format(stats.labels)],
    ["Writes", number.format(stats.sequence)],
    ["Index", stats.index_kind + (stats.index_on_gpu ? " on GPU" : "")],
    ...(found.length ? [["The index finds", found.join(", ")]] : []),
    ["On disk", bytes(stats.bytes_on_disk)],
  ]);
}

export function showModel(model) {
  const queries = model.query_model;
  facts(byId("model"), [
    ["Backbone", model.backbone],
    ["Heads", String(model.heads)],
    ["Embedding", `${number.format(model.embedding_size)} numbers`],
    ["Input", input(model)],
    ["Fingerprint", model.fingerprint.slice(0, 12)],
    ...(queries ? [["Queries by", queries.backbone], ["Their input", input(queries)]] : []),
  ]);
}

const input = (model) => `${model.pixels} × ${model.pixels}${model.mirror ? ", and mirrored" : ""}`;

function bar(k, value) {
  const track = make("span", { class: "track" });
  track.style.setProperty("--part", value);
  return make("div", {}, make("dt", {}, k), make("dd", {}, track, percent(value)));
}

function showRecall(answer) {
  measured = answer.sequence;
  computed = Date.now() - 1000 * answer.age_seconds; // by this clock, whatever the server's says
  const found = Object.entries(answer.recall).filter(([, value]) => value !== null);
  byId("recall").replaceChildren(...found.map(([k, value]) => bar(k, value)));
  const counted = answer.queries - answer.queries_without_positive;
  byId("recall-note").textContent = found.length
    ? `${plural(counted, "labelled image")} of this collection, each searched among all others. MAP@R ` +
      `${percent(answer.map_at_r)}. Some of the labels may be ones that the model was trained on: on new ones it may be lower.`
    : "Recall needs at least two images of one label.";
  showAge();
}

function ago(date) {
  const seconds = Math.max(0, Math.round((Date.now() - date) / 1000));
  if (seconds < 10) return "just now";
  if (seconds < 100) return `${seconds} s ago`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min ago`;
  return seconds < 172_800 ? `${Math.round(seconds / 3600)} h ago` : `${Math.round(seconds / 86_400)} days ago`;
}

function showAge() {
  if (!computed) return;
  const behind = sequence - measured;
  byId("recall-age").textContent =
    `Measured ${ago(computed)}` + (behind > 0 ? `; ${plural(behind, "write")} since then.` : ", of the collection as it is.");
}

// Every image is a query here, so it is asked for only while somebody looks, and only after a write.
async function refreshRecall() {
  if (!inSight || asking || sequence === null || measured === sequence) return;
  asking = true;
  if (measured === null) byId("recall-note").textContent = "Measuring…";
  try {
    const answer = await api.recall();
    showRecall(answer);
    // It is of before the last write, and a new one is being computed.
    if (answer.stale) setTimeout(refreshRecall, STALE_MS);
  } catch (failure) {
    byId("recall-note").textContent = `${failure.title}. ${failure.detail ?? ""}`;
  } finally {
    asking = false;
  }
}

export async function refresh() {
  showStats(await api.stats());
  await refreshRecall();
}

export function watch() {
  new IntersectionObserver((entries) => {
    inSight = entries.at(-1).isIntersecting;
    refreshRecall();
  }).observe(byId("live"));
  setInterval(() => {
    showAge();
    // A page that nobody sees asks for nothing; and what fails here is told by the next search.
    if (!document.hidden) refresh().catch(() => {});
  }, POLL_MS);
}

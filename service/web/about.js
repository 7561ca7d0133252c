// The footer: how well the collection is searched, by which model, and what is in it.

import * as api from "./api.js";

const number = new Intl.NumberFormat("en");

function facts(list, pairs) {
  list.replaceChildren(
    ...pairs.flatMap(([name, value]) => {
      const term = document.createElement("dt");
      const description = document.createElement("dd");
      term.textContent = name;
      description.textContent = value;
      return [term, description];
    }),
  );
}

function bytes(count) {
  const mebibytes = count / 2 ** 20;
  return mebibytes < 10 ? `${mebibytes.toFixed(1)} MiB` : `${number.format(Math.round(mebibytes))} MiB`;
}

export function showStats(stats) {
  document.getElementById("collection-line").textContent =
    `${number.format(stats.items)} ${stats.items === 1 ? "image" : "images"}` +
    (stats.labels ? ` · ${number.format(stats.labels)} ${stats.labels === 1 ? "label" : "labels"}` : "");
  const measured = Object.entries(stats.index_recall).map(([k, value]) => `${(100 * value).toFixed(1)} % at ${k}`);
  facts(document.getElementById("stats"), [
    ["Images", number.format(stats.items)],
    ["Labels", number.format(stats.labels)],
    ["Index", stats.index_kind + (stats.index_on_gpu ? " on GPU" : "")],
    ["Index against exact", measured.join(", ") || "not measured"],
    ["On disk", bytes(stats.bytes_on_disk)],
  ]);
}

export function showModel(model) {
  const queries = model.query_model;
  facts(document.getElementById("model"), [
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
  const row = document.createElement("div");
  const term = document.createElement("dt");
  const description = document.createElement("dd");
  const track = document.createElement("span");
  term.textContent = k;
  track.className = "track";
  track.style.setProperty("--part", value);
  description.append(track, `${(100 * value).toFixed(1)} %`);
  row.append(term, description);
  return row;
}

function showRecall(answer) {
  const list = document.getElementById("recall");
  const note = document.getElementById("recall-note");
  const measured = Object.entries(answer.recall).filter(([, value]) => value !== null);
  if (!measured.length) {
    list.replaceChildren();
    note.textContent = "Recall needs at least two images of one label.";
    return;
  }
  list.replaceChildren(...measured.map(([k, value]) => bar(k, value)));
  const counted = answer.queries - answer.queries_without_positive;
  note.textContent =
    `${number.format(counted)} labelled images, each searched among all others. ` +
    `MAP@R ${(100 * answer.map_at_r).toFixed(1)} %.`;
}

// Every image is a query here, so it is computed when somebody scrolls to it, not for each visit.
export function showRecallWhenSeen() {
  const observer = new IntersectionObserver(async (entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    observer.disconnect();
    const note = document.getElementById("recall-note");
    note.textContent = "Measuring…";
    try {
      showRecall(await api.recall());
    } catch (failure) {
      note.textContent = `${failure.title}. ${failure.detail ?? ""}`;
    }
  });
  observer.observe(document.getElementById("recall-title"));
}

// How long the searches of this page took, and where the time went.

import { byId, make, makeSvg } from "./dom.js";

const KEPT = 60;
const STAGES = ["decode", "wait", "embed", "search"];
const WORDS = { decode: "decoding", wait: "waiting in line", embed: "embedding", search: "searching", rest: "on the way" };

const taken = []; // { total, decode, wait, embed, search, rest } in milliseconds

const quantile = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)];
export const milliseconds = (value) => (value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`);

// took: the service's own account; total: from the click to the answer.
export function record(took, total) {
  const stages = Object.fromEntries(STAGES.map((stage) => [stage, took[stage] ?? 0]));
  const inside = Object.values(stages).reduce((sum, value) => sum + value, 0);
  taken.push({ ...stages, rest: Math.max(0, total - inside), total });
  if (taken.length > KEPT) taken.shift();
  show();
}

function show() {
  const sorted = taken.map(({ total }) => total).sort((a, b) => a - b);
  const last = taken.at(-1);
  const [median, high] = [quantile(sorted, 0.5), quantile(sorted, 0.95)];
  byId("latency-note").textContent =
    taken.length === 1
      ? `The search took ${milliseconds(last.total)}.`
      : `${taken.length} searches: half within ${milliseconds(median)}, 95 % within ${milliseconds(high)}.`;
  const parts = [...STAGES, "rest"].filter((stage) => last[stage] > 0);
  byId("latency-last").replaceChildren(
    ...parts.map((stage) => {
      const part = make("span", { class: `stage ${stage}`, title: `${WORDS[stage]} ${milliseconds(last[stage])}` });
      part.style.flexGrow = last[stage];
      return part;
    }),
  );
  byId("latency-stages").replaceChildren(
    ...parts.map((stage) => make("li", { class: stage }, `${WORDS[stage]} ${milliseconds(last[stage])}`)),
  );
  byId("latency-chart").replaceChildren(...chart(sorted.at(-1)));
  byId("latency").hidden = false;
  return median;
}

function chart(most) {
  const [width, height] = [240, 36];
  const step = width / KEPT;
  return taken.map(({ total }, at) => {
    const high = Math.max(2, (height * total) / most);
    return makeSvg("rect", { x: at * step, y: height - high, width: step - 1, height: high, rx: 1 });
  });
}

export const median = () => (taken.length ? quantile(taken.map(({ total }) => total).sort((a, b) => a - b), 0.5) : null);

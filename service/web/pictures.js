// The pictures of items. With a key they cannot be the plain source of an image, because a browser adds no key to it:
// then they are fetched as they come into view, a few at a time.

import * as api from "./api.js";
import { make, wait } from "./dom.js";

const AT_ONCE = 6;
const TRIES = 3;

let running = 0;
const waiting = [];

const observer = new IntersectionObserver(
  (entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      observer.unobserve(target);
      waiting.push(target);
    }
    work();
  },
  { rootMargin: "300px" },
);

export function pictureOf(id, alt) {
  const image = make("img", { class: "picture", alt, decoding: "async", width: 256, height: 256 });
  image.addEventListener("error", () => missing(image));
  if (api.key.get()) {
    image.dataset.id = id;
    observer.observe(image);
  } else {
    image.loading = "lazy";
    image.src = api.imageOf(id);
  }
  return image;
}

// A blob of it, whichever way; for what has to read its pixels.
export const blobOf = (id, signal) => api.picture(id, signal);

function missing(image) {
  image.replaceWith(make("span", { class: "no-picture" }, "No picture"));
}

async function work() {
  while (running < AT_ONCE && waiting.length) {
    const image = waiting.shift();
    if (!image.isConnected) continue; // another search has taken its place
    running += 1;
    load(image).finally(() => {
      running -= 1;
      work();
    });
  }
}

async function load(image) {
  for (let left = TRIES - 1; ; left -= 1) {
    try {
      const address = URL.createObjectURL(await api.picture(image.dataset.id));
      image.addEventListener("load", () => URL.revokeObjectURL(address), { once: true });
      image.src = address;
      return;
    } catch (failure) {
      if (!left || !failure.passes) return missing(image);
      await wait(failure.retryAfter ?? 1);
    }
  }
}

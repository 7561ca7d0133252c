// The key that the service may ask for: entered once, kept until the tab is closed.

import * as api from "./api.js";
import { byId, dialog } from "./dom.js";

const element = dialog("key-dialog");
const input = byId("key-input");
const button = byId("key-open");

let whenEntered = null;

function show() {
  const has = Boolean(api.key.get());
  button.classList.toggle("on", has);
  button.setAttribute("aria-label", has ? "Key: entered. Change or forget it" : "Enter a key");
  button.title = has ? "A key is entered" : "Enter a key";
  byId("key-forget").hidden = !has;
}

// reason: what the service said, where it asked. then: what to do again with the key.
export function askForKey(reason, then) {
  byId("key-reason").textContent = reason ?? "Needed only where the service asks for one.";
  whenEntered = then ?? null;
  input.value = "";
  show();
  element.showModal();
  input.focus();
}

export function listenForKey(changed) {
  show();
  button.addEventListener("click", () => askForKey());
  byId("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const value = input.value.trim();
    if (!/^[\x21-\x7e]+$/.test(value)) {
      byId("key-reason").textContent = "A key has no spaces and only plain letters, digits and signs. Paste it again.";
      input.focus();
      return;
    }
    api.key.set(value);
    input.value = "";
    element.close();
    show();
    (whenEntered ?? changed)();
  });
  byId("key-forget").addEventListener("click", () => {
    api.key.forget();
    element.close();
    show();
    changed();
  });
}

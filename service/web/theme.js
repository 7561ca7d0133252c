// The colours: those of the system, or the ones chosen here. Loaded before anything is drawn, so that nothing flashes.

"use strict";
{
  const KEY = "hdhe-colours";
  const CHOICES = ["auto", "light", "dark"];
  const root = document.documentElement;

  function use(choice) {
    root.dataset.theme = choice;
    const button = document.getElementById("theme");
    if (button) {
      const words = { auto: "as the system has them", light: "light", dark: "dark" }[choice];
      button.setAttribute("aria-label", `Colours: ${words}. Change`);
      button.title = `Colours: ${words}`;
    }
  }

  function kept() {
    try {
      const choice = localStorage.getItem(KEY);
      return CHOICES.includes(choice) ? choice : "auto";
    } catch {
      return "auto"; // a browser that keeps nothing
    }
  }

  use(kept());
  document.addEventListener("DOMContentLoaded", () => {
    use(kept());
    document.getElementById("theme").addEventListener("click", () => {
      const next = CHOICES[(CHOICES.indexOf(root.dataset.theme) + 1) % CHOICES.length];
      try {
        localStorage.setItem(KEY, next);
      } catch {
        // It then holds until the page is left.
      }
      use(next);
    });
  });
}

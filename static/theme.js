/*
 * Sets the theme before the first paint, and marks that scripts run. It is loaded in the head,
 * not deferred, because the Content-Security-Policy allows no inline script. The menu that calls
 * window.chooseTheme is wired up in app.js. Without scripts the system's theme holds (app.css).
 */
"use strict";

(() => {
  const KEY = "multica-admin-theme";
  const root = document.documentElement;
  const systemIsDark = window.matchMedia("(prefers-color-scheme: dark)");

  // A browser may forbid storage. Then the choice lasts as long as the page.
  let choice = "system";
  try {
    choice = localStorage.getItem(KEY) || "system";
  } catch {}

  function apply() {
    const theme = choice === "system" ? (systemIsDark.matches ? "dark" : "light") : choice;
    root.setAttribute("data-bs-theme", theme); // what Tabler looks at
    root.setAttribute("data-theme", theme); // what Django's pages under /accounts/ look at
    root.dataset.chosenTheme = choice;
    // Charts are drawn on a canvas, so they must be told.
    window.dispatchEvent(new CustomEvent("theme:changed", { detail: { theme } }));
  }

  window.chooseTheme = (chosen) => {
    choice = chosen;
    try {
      localStorage.setItem(KEY, chosen);
    } catch {}
    apply();
  };

  root.classList.add("js");
  apply();
  systemIsDark.addEventListener("change", apply);
  window.addEventListener("storage", (event) => {
    if (event.key !== KEY) return;
    choice = event.newValue || "system";
    apply();
  });
})();

/*
 * Small things that plain HTML leaves open. Times are in times.js, live parts in live.js.
 *
 *   <details data-menu>                           closes on Escape, on a click elsewhere, and when
 *                                                 another one opens
 *   <button data-theme-choice="system|light|dark">   the theme; see theme.js
 *   <button data-copy="id">                       copies the text of that element
 *   <button data-search-key>                      whether "/" leads to the page's search, as it does
 *                                                 at first. People who speak to their computer may
 *                                                 need to turn off a shortcut of one key
 *   <… data-title="1 of 3 · …">                   in a live part: what the page's title says now
 */
"use strict";

(() => {
  const texts = document.getElementById("texts").dataset;

  function closeMenus(except) {
    for (const menu of document.querySelectorAll("details[data-menu][open]")) {
      if (menu !== except) menu.open = false;
    }
  }

  function showThemeChoice() {
    const choice = document.documentElement.dataset.chosenTheme;
    for (const button of document.querySelectorAll("[data-theme-choice]")) {
      button.setAttribute("aria-pressed", String(button.dataset.themeChoice === choice));
    }
  }

  /** Copies the text; also without TLS, where a browser offers no clipboard, by selecting it. */
  async function copied(source) {
    try {
      await navigator.clipboard.writeText(source.textContent);
      return true;
    } catch {
      const selection = document.getSelection();
      selection.selectAllChildren(source);
      // If not even this is allowed, the text stays selected, ready for Ctrl-C.
      const done = document.execCommand("copy");
      if (done) selection.removeAllRanges();
      return done;
    }
  }

  async function copy(button) {
    if (!(await copied(document.getElementById(button.dataset.copy)))) return;
    const label = button.lastChild;
    const before = label.textContent;
    label.textContent = texts.copied;
    window.setTimeout(() => (label.textContent = before), 2000);
  }

  // --- The key of the search --------------------------------------------------------------------

  const SEARCH_KEY = "multica-admin-search-key";
  const search = document.querySelector("input[aria-keyshortcuts='/']");
  // A browser may forbid storage. Then the choice lasts as long as the page.
  let searchKey = "on";
  try {
    searchKey = localStorage.getItem(SEARCH_KEY) || "on";
  } catch {}

  function chooseSearchKey(choice) {
    searchKey = choice;
    try {
      localStorage.setItem(SEARCH_KEY, choice);
    } catch {}
    showSearchKey();
  }

  function showSearchKey() {
    const on = searchKey === "on";
    document.documentElement.classList.toggle("no-keys", !on);
    document.querySelector("[data-search-key]")?.setAttribute("aria-pressed", String(on));
  }

  document.addEventListener("keydown", (event) => {
    const meant = event.key === "/" && !event.ctrlKey && !event.metaKey && !event.altKey;
    if (!meant || !search || searchKey !== "on") return;
    if (event.target.closest("input, select, textarea")) return;
    event.preventDefault();
    search.focus();
    search.select();
  });

  document.addEventListener("click", (event) => {
    closeMenus(event.target.closest("details[data-menu]"));
    const button = event.target.closest("button");
    if (button?.dataset.themeChoice) window.chooseTheme(button.dataset.themeChoice);
    else if (button?.dataset.copy) copy(button);
    else if (button?.matches("[data-search-key]")) chooseSearchKey(searchKey === "on" ? "off" : "on");
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = event.target.closest("details[data-menu][open]");
    closeMenus();
    if (menu) menu.querySelector("summary").focus();
  });

  // The chosen language is for the window that a live part shows by now.
  document.addEventListener("submit", ({ target }) => {
    const next = target.matches(".languages") ? target.elements.next : null;
    if (next?.value.split("?")[0] !== location.pathname) return;
    next.value = location.pathname + location.search;
  });

  const titleNow = () => document.querySelector("[data-title]")?.dataset.title;
  let title = titleNow();

  document.addEventListener("live:merged", () => {
    const fresh = titleNow();
    if (!title || !fresh) return;
    document.title = document.title.replace(title, () => fresh);
    title = fresh;
  });

  window.addEventListener("theme:changed", showThemeChoice);
  showThemeChoice();
  showSearchKey();
})();

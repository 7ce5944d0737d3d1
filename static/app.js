/*
 * Small things that plain HTML leaves open. Times are in times.js, live parts in live.js.
 *
 *   <details data-menu>                           closes on Escape, on a click elsewhere, and when
 *                                                 another one opens
 *   <button data-theme-choice="system|light|dark">   the theme; see theme.js
 *   <button data-copy="id">                       copies the text of that element
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

  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    // Without TLS a browser offers no clipboard. Then the text is selected, ready for Ctrl-C.
    if (!navigator.clipboard) return document.getSelection().selectAllChildren(source);
    await navigator.clipboard.writeText(source.textContent);
    const label = button.lastChild;
    const before = label.textContent;
    label.textContent = texts.copied;
    window.setTimeout(() => (label.textContent = before), 2000);
  }

  document.addEventListener("click", (event) => {
    closeMenus(event.target.closest("details[data-menu]"));
    const button = event.target.closest("[data-theme-choice], [data-copy]");
    if (button?.dataset.themeChoice) window.chooseTheme(button.dataset.themeChoice);
    else if (button) copy(button);
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const menu = event.target.closest("details[data-menu][open]");
    closeMenus();
    if (menu) menu.querySelector("summary").focus();
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
})();

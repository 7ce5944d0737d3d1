/*
 * The plan strip by keyboard: a grid with one tab stop, which is the newest plan at first. Without
 * scripts every square is a stop, and the legend leads to the newest square of each kind.
 *
 *   arrows                     the next square that leads somewhere, in its row or its column
 *   Home, End                  the first and the last of the row; with Ctrl those of the strip
 *   <a data-only="failed">     in the legend: shows that kind only, and takes the focus there; once
 *                              more, and all kinds are shown again
 * Where the focus is and which kind is shown survives a refresh: new contents are prepared alike
 * before they are merged (live.js).
 */
"use strict";

(() => {
  // The pieces of an open gap are one link: all but its newest are hidden.
  const LINK = "a.plan:not([aria-hidden])";
  const SQUARES = `.plan-strip ${LINK}`;
  let current = ""; // the id of the tab stop; empty for the newest
  let only = "";

  const squaresIn = (scope) => [...scope.querySelectorAll(SQUARES)];

  function prepare(scope) {
    const squares = squaresIn(scope);
    const stop = squares.find((square) => square.id === current) || squares.at(-1);
    for (const square of squares) square.tabIndex = square === stop ? 0 : -1;
    const strip = scope.querySelector(".plan-strip");
    if (!strip) return;
    if (only) strip.dataset.only = only;
    else delete strip.dataset.only;
    for (const link of scope.querySelectorAll(".legend a[data-only]")) {
      if (link.dataset.only === only) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
  }

  function focus(square) {
    if (!square) return;
    current = square.id;
    prepare(document);
    square.focus();
  }

  /** The places of a row, each with its cell. A piece of an open gap takes several. */
  const places = (row) =>
    [...row.children].flatMap((cell) => Array(Number(cell.ariaColSpan) || 1).fill(cell));

  /** The next square above or below, in the nearest row that has one in the same column. */
  function across(square, step) {
    const rows = [...square.closest(".plan-strip").querySelectorAll("[role=row]")];
    let at = rows.indexOf(square.closest("[role=row]"));
    const place = places(rows[at]).indexOf(square.parentElement);
    at += step;
    for (; rows[at]; at += step) {
      const found = places(rows[at])[place]?.querySelector(LINK);
      if (found) return found;
    }
    return null;
  }

  function target(square, key, wholeStrip) {
    const row = wholeStrip ? square.closest(".plan-strip") : square.closest("[role=row]");
    const squares = [...square.closest(".plan-strip").querySelectorAll(LINK)];
    const inRow = [...row.querySelectorAll(LINK)];
    const forward = getComputedStyle(square).direction === "rtl" ? -1 : 1;
    switch (key) {
      case "ArrowRight":
        return squares[squares.indexOf(square) + forward];
      case "ArrowLeft":
        return squares[squares.indexOf(square) - forward];
      case "ArrowDown":
        return across(square, 1);
      case "ArrowUp":
        return across(square, -1);
      case "Home":
        return inRow[0];
      case "End":
        return inRow.at(-1);
      default:
        return undefined;
    }
  }

  document.addEventListener("keydown", (event) => {
    const square = event.target.closest(SQUARES);
    if (!square || event.altKey || event.metaKey || event.shiftKey) return;
    const found = target(square, event.key, event.ctrlKey);
    if (found === undefined && !event.key.startsWith("Arrow")) return;
    event.preventDefault();
    focus(found);
  });

  document.addEventListener("focusin", (event) => {
    const square = event.target.closest(SQUARES);
    if (square && square.id !== current) focus(square);
  });

  document.addEventListener("click", (event) => {
    const link = event.target.closest(".legend a[data-only]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    only = link.dataset.only === only ? "" : link.dataset.only;
    if (only) focus(document.getElementById(link.hash.slice(1)));
    else prepare(document);
  });

  document.addEventListener("live:arrived", (event) => prepare(event.detail));
  // The square with the focus may have left the strip: its place is then taken by the tab stop.
  let hadFocus = false;
  document.addEventListener("live:arrived", () => {
    hadFocus = document.activeElement.matches(SQUARES);
  });
  document.addEventListener("live:merged", () => {
    if (hadFocus && document.activeElement === document.body) {
      document.querySelector(`${SQUARES}[tabindex="0"]`)?.focus({ preventScroll: true });
    }
  });
  prepare(document);
})();

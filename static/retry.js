/*
 * A page that says that a database is away tries again by itself. Without this script it has a link.
 *
 *   <p data-retry="15" hidden>   is shown, and the page asks for its own address after so many seconds
 *   <time data-relative="countdown">   in it: when it asks next (times.js counts down)
 *   <… data-retried hidden>      in it: is shown once it has tried in vain
 * As soon as the address has another answer, the page is loaded again. A hidden tab asks nothing.
 */
"use strict";

(() => {
  const element = document.querySelector("[data-retry]");
  if (!element) return;
  const { now, writeTimes } = window.times;
  const pause = 1000 * Number(element.dataset.retry);
  const patience = 20_000;
  let timer = 0;

  function plan(delay = pause) {
    window.clearTimeout(timer);
    timer = window.setTimeout(retry, delay);
    element.querySelector("time").dateTime = new Date(now() + delay).toISOString();
    writeTimes(element);
    element.hidden = false;
  }

  /** Whether the answer is worth showing: not the same one, and not a proxy's error. */
  const isNews = ({ status, headers }) => status !== 503 && (status < 500 || headers.has("X-Problem"));

  async function retry() {
    if (document.hidden) return;
    try {
      const signal = AbortSignal.timeout(patience);
      const headers = { Accept: "text/html" };
      const answer = await fetch(location.href, { headers, signal, cache: "no-store", credentials: "same-origin" });
      if (isNews(answer)) return location.reload();
    } catch {
      // The server did not answer at all.
    }
    element.querySelector("[data-retried]").hidden = false;
    plan();
  }

  document.addEventListener("visibilitychange", () => document.hidden || plan(0));
  plan();
})();

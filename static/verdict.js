/*
 * The verdict, wherever a page shows it: on the overview, in every header, in the tab.
 *
 *   <… data-verdict="failing" class="tone-bad">   an element that shows it; in it
 *   <svg class="icon"><use>                       its shape, and
 *   <… data-verdict-word>                         its word
 * Title and icon follow it. On the overview the card leads, and the header follows.
 *   <… id="verdict-news" role="status">           a screen reader hears from it that the verdict has
 *                                                 changed, politely, and nothing while it has not
 *
 * While nobody can confirm the verdict it is in doubt: all of them have data-doubt, are grey and say
 * since when it is unknown and what was last known. They say that as well where the server answers
 * that it cannot tell the verdict any more. Offers window.verdict to live.js, which knows who has answered.
 */
"use strict";

(() => {
  const texts = document.getElementById("texts").dataset;
  const { now, writeTimes } = window.times;

  // The contents before the doubt, by element.
  const before = new Map();
  // The level that a screen reader knows.
  let told = null;
  // The last verdict that the server knew, and when it said so by this browser's clock.
  let known = null;

  const shape = (element) => element.querySelector("svg.icon use");
  const word = (element) => element.querySelector("[data-verdict-word]");

  function read(element) {
    return {
      level: element.dataset.verdict,
      tone: [...element.classList].find((name) => name.startsWith("tone-")),
      shape: shape(element).getAttribute("href"),
      word: word(element).textContent,
    };
  }

  function write(element, shown) {
    element.dataset.verdict = shown.level;
    element.classList.replace(read(element).tone, shown.tone);
    shape(element).setAttribute("href", shown.shape);
    word(element).textContent = shown.word;
    element.removeAttribute("title");
  }

  /** "Unknown since 20:13 UTC; last known: healthy", with the time in the chosen zone. */
  function sayDoubt(element, last, since) {
    const time = document.createElement("time");
    time.dateTime = new Date(since).toISOString();
    time.dataset.form = "clock";
    const lower = last.word.toLocaleLowerCase(document.documentElement.lang);
    const [head, tail] = texts.doubt.replace("{verdict}", lower).split("{time}");
    word(element).replaceChildren(head, time, tail);
    writeTimes(word(element));
    element.title = word(element).textContent;
  }

  /** Nobody has confirmed the verdict since that moment of this browser's clock. */
  function doubt(answeredAt) {
    const since = answeredAt + now() - Date.now();
    for (const element of document.querySelectorAll("[data-verdict]")) {
      const last = read(element);
      if (before.has(element) || last.level === "unknown") continue;
      before.set(element, last);
      const sprite = last.shape.split("#")[0];
      const grey = { level: "unknown", tone: "tone-mute", shape: `${sprite}#help-circle`, word: "" };
      write(element, grey);
      element.dataset.doubt = "";
      sayDoubt(element, last, since);
    }
    mark();
  }

  /** The server has answered: the old contents hold until they are replaced. */
  function believe() {
    for (const [element, last] of before) {
      write(element, last);
      delete element.dataset.doubt;
    }
    before.clear();
  }

  /** Tells a screen reader that the verdict is another one, with the overview's sentence. */
  function tell(card, header) {
    const { level } = read(card || header);
    const news = document.getElementById("verdict-news");
    if (news && told !== null && told !== level) {
      const sentence = card && level !== "unknown" ? document.getElementById("verdict").textContent : "";
      news.textContent = `${(header || word(card)).textContent.trim()}. ${sentence}`.trim();
    }
    told = level;
  }

  /** Makes header, title and icon show what the page shows. */
  function mark() {
    const card = document.getElementById("verdict-card");
    const header = document.querySelector("#site-verdict [data-verdict]");
    if (card && header && !before.has(header)) write(header, read(card));
    const leading = card || header;
    if (!leading) return;
    const { verdict } = leading.dataset;
    const marks = [texts.degraded, texts.failing, texts.unknown].map((text) => `${text} · `);
    const old = marks.find((text) => document.title.startsWith(text)) || "";
    const wanted = (verdict === "healthy" ? "" : `${texts[verdict]} · `) + document.title.slice(old.length);
    if (document.title !== wanted) document.title = wanted;
    const icon = document.getElementById("icon");
    const href = icon.dataset[verdict];
    if (icon.getAttribute("href") !== href) icon.setAttribute("href", href);
    tell(card, header);
  }

  /** The server answered at that moment. Keep its verdict, or say what it knew last. */
  function heard(answeredAt) {
    for (const element of document.querySelectorAll("[data-verdict]")) {
      const { level, word: said } = read(element);
      if (level !== "unknown") known = { word: said, answeredAt };
      else if (known) sayDoubt(element, known, known.answeredAt + now() - Date.now());
    }
  }

  window.verdict = { doubt, believe, heard, mark };
  mark();
  heard(Date.now());
})();

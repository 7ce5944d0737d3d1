/*
 * Times on a page: written in the zone that the viewer chose, and ageing while they look.
 *
 *   <time datetime="…" data-form="datetime|seconds|clock|time|date|hour">   absolute, in the zone chosen
 *   <time datetime="…" data-relative>                                  ages every second
 *   <time datetime="…" data-relative="span">                           the same without "ago"
 *   <time datetime="…" data-relative="countdown">                      "in 3 min 42 s"
 *   <… data-now="…">   the database's clock when the server answered; ages are counted from it
 *   <button data-zone="utc|local">                                     the switch
 *
 * The zone is remembered in the cookies time_zone ("utc" or "local") and time_zone_name (IANA).
 * The texts are those of executions/text/formatters.py; change both together. Offers
 * window.times to the scripts after it.
 */
"use strict";

(() => {
  const texts = document.getElementById("texts").dataset;

  // How many milliseconds the database's clock is ahead of this browser's.
  let clockOffset = 0;
  let zone = "utc";

  const monthAndDay = new Intl.DateTimeFormat(document.documentElement.lang, {
    month: "short",
    day: "numeric",
    timeZone: "UTC",
  });

  const now = () => Date.now() + clockOffset;
  const two = (number) => String(number).padStart(2, "0");

  function setClock(scope, answeredAt) {
    const element = scope.querySelector("[data-now]");
    const stated = element ? Date.parse(element.dataset.now) : NaN;
    if (!Number.isNaN(stated)) clockOffset = stated - answeredAt;
  }

  /** Minutes that UTC is ahead of the zone; 0 if the local time is outside the years 1 to 9999. */
  function offset(date) {
    if (zone !== "local") return 0;
    const year = new Date(date.getTime() - date.getTimezoneOffset() * 60_000).getUTCFullYear();
    return year >= 1 && year <= 9999 ? date.getTimezoneOffset() : 0;
  }

  /** "UTC", "UTC+1", "UTC-3:30". */
  function zoneName(date) {
    const minutes = -offset(date);
    if (minutes === 0) return "UTC";
    const size = Math.abs(minutes);
    const rest = size % 60 ? `:${two(size % 60)}` : "";
    return `UTC${minutes < 0 ? "-" : "+"}${Math.floor(size / 60)}${rest}`;
  }

  function written(date, form) {
    // With the date moved by its offset, its UTC fields are the local ones.
    const iso = new Date(date.getTime() - offset(date) * 60_000).toISOString();
    const day = iso.slice(0, 10);
    switch (form) {
      case "seconds":
        return `${day} ${iso.slice(11, 19)} ${zoneName(date)}`;
      case "clock":
        return `${iso.slice(11, 16)} ${zoneName(date)}`;
      case "time":
        return iso.slice(11, 16);
      case "date":
        return day;
      case "hour": // the time, and the day where it begins
        return iso.slice(11, 13) === "00" ? monthAndDay.format(new Date(`${day}T00:00Z`)) : iso.slice(11, 16);
      default:
        return `${day} ${iso.slice(11, 16)} ${zoneName(date)}`;
    }
  }

  /** Whole seconds as an age: "12 s", "4 min", "4 h 20 min", "3 d 4 h". Exactly: "4 min 12 s". */
  function span(seconds, exactly = false) {
    const days = Math.floor(seconds / 86_400);
    const hours = Math.floor((seconds % 86_400) / 3_600);
    const minutes = Math.floor((seconds % 3_600) / 60);
    const { lang } = document.documentElement;
    const part = (number, unit) => (number ? ` ${number.toLocaleString(lang)} ${texts[unit]}` : "");
    if (days) return (part(days, "d") + part(hours, "h")).trim();
    if (hours) return (part(hours, "h") + part(minutes, "min")).trim();
    if (minutes && exactly) return (part(minutes, "min") + part(seconds % 60, "s")).trim();
    return minutes ? part(minutes, "min").trim() : `${seconds} ${texts.s}`;
  }

  function relative(element, date) {
    const seconds = Math.trunc((date.getTime() - now()) / 1000);
    if (element.dataset.relative === "countdown") {
      return seconds > 0 ? texts.ahead.replace("{duration}", span(seconds, true)) : texts.soon;
    }
    if (seconds <= 0 && element.dataset.relative === "span") return span(-seconds);
    return seconds > 0
      ? texts.ahead.replace("{duration}", span(seconds))
      : texts.ago.replace("{duration}", span(-seconds));
  }

  function isSelected(element) {
    const selection = document.getSelection();
    return selection !== null && !selection.isCollapsed && selection.containsNode(element, true);
  }

  /** Sets a text only if it changed, and never under a selection. */
  function setText(element, text) {
    if (element.textContent !== text && !isSelected(element)) element.textContent = text;
  }

  function writeTimes(scope) {
    for (const element of scope.querySelectorAll("time[data-form], time[data-relative]")) {
      const date = new Date(element.dateTime);
      if (Number.isNaN(date.getTime())) continue;
      element.title = written(date, "seconds");
      if ("relative" in element.dataset) setText(element, relative(element, date));
      else setText(element, written(date, element.dataset.form));
    }
  }

  function age() {
    if (document.hidden) return;
    for (const element of document.querySelectorAll("time[data-relative]")) {
      setText(element, relative(element, new Date(element.dateTime)));
    }
  }

  // --- The zone ---------------------------------------------------------------------------------

  function readCookie(name) {
    const found = document.cookie.split("; ").find((pair) => pair.startsWith(`${name}=`));
    return found ? decodeURIComponent(found.slice(name.length + 1)) : "";
  }

  function writeCookie(name, value) {
    const secure = location.protocol === "https:" ? "; Secure" : "";
    const lasting = `Path=${texts.root}; Max-Age=31536000; SameSite=Lax${secure}`;
    document.cookie = `${name}=${encodeURIComponent(value)}; ${lasting}`;
  }

  function chooseZone(choice) {
    zone = choice;
    writeCookie("time_zone", choice);
    if (choice === "local") {
      writeCookie("time_zone_name", Intl.DateTimeFormat().resolvedOptions().timeZone);
    }
    for (const button of document.querySelectorAll("[data-zone]")) {
      button.setAttribute("aria-pressed", String(button.dataset.zone === choice));
    }
    writeTimes(document);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-zone]");
    if (!button) return;
    chooseZone(button.dataset.zone);
    // The server sorts rows under the days of the zone.
    if (document.querySelector(".day")) location.reload();
  });
  document.addEventListener("visibilitychange", age);

  window.times = { now, setClock, span, setText, isSelected, writeTimes };

  const [navigation] = performance.getEntriesByType("navigation");
  setClock(document, performance.timeOrigin + (navigation ? navigation.responseStart : 0));
  if (readCookie("time_zone") === "local") chooseZone("local");
  else writeTimes(document);
  window.setInterval(age, 1000);
})();

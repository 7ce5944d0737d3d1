/*
 * Live parts: a part of a page that refreshes itself. The page is complete without this script.
 *
 *   <div id="overview" data-live data-live-seconds="15" data-version="7f3a">…</div>
 * The part asks the page's own address again at this interval (data-live="/other" asks another
 * address). It sends these headers:
 *   HX-Request: true           the server answers with the fragment only (django-htmx)
 *   HX-Target: overview        the part's id, because a page may have several parts
 *   X-Data-Version: 7f3a       the version of the shown data, if the part has one
 * It understands these answers:
 *   204                        the data still has that version. The header X-Checked-At says when the
 *                              server looked, if that is some seconds ago
 *   200 with the fragment      the new contents of the part. The headers X-Data-Version and
 *                              X-Live-Seconds have the new version and the new interval
 *   401                        the viewer is signed out: the part says so and stops
 *   403 with X-Problem         the viewer has lost the role: the page is loaded again and says so
 *   anything else, or nothing  the part says how old it is and why, and tries again, at most every
 *                              five seconds. An error of ours has the header X-Problem
 * Without data-live-hidden a part does not change in a hidden tab. No part changes while text in it is selected, or while a form control in it
 * has the focus. Idiomorph merges the new contents into the old. It recognizes elements by their id,
 * so focus, scroll positions and open <details> stay. It never touches a <form>, or what a script
 * put into an element with data-live-keep. Before the merge the document gets the event
 * "live:arrived" with the new contents, and after it the part gets "live:merged".
 *
 *   <… data-checked>           contains the <time> of the server's last look; a 204 renews it
 *   <a data-in-place>          in a part: leads to another address of the same page. The part then
 *                              shows the part of that address, without a jump
 *   <… data-live-hidden="60">  in a part: a hidden tab asks too, at this interval in seconds, because
 *                              its title says how far something is
 *   data-live-quiet            the part does not show its age. It says that the viewer is signed out
 *                              only if it is the page's only part, at the top of the page
 *   <button data-live-switch aria-pressed>   stops every refresh in this tab, and lets it go on
 * A part that shows the verdict (verdict.js) marks it as doubtful when no answer comes.
 */
"use strict";

(() => {
  const texts = document.getElementById("texts").dataset;
  const { now, setClock, span, setText, isSelected, writeTimes } = window.times;

  // --- Merging new contents into old ------------------------------------------------------------

  // If Idiomorph moves old elements into a new element, it inserts the new one empty and fills it
  // later. Nobody has seen an element that is still empty.
  const isShown = (element, nodeName) => element.nodeName === nodeName && element.hasChildNodes();

  const callbacks = {
    // The reader decides what a form contains and whether a <details> is open. Skipping equal
    // elements reduces the merge of an overview with 1,900 elements from about 60 ms to 10 ms.
    beforeNodeMorphed: (old, fresh) => !isShown(old, "FORM") && !old.isEqualNode(fresh),
    beforeAttributeUpdated: (name, old) => !(name === "open" && isShown(old, "DETAILS")),
    // The server sends such an element empty, so a script has put its contents there.
    beforeNodeRemoved: (node) => !node.parentElement?.hasAttribute("data-live-keep"),
  };

  /** Runs `change` and keeps the anchor, or the element at the top of the window, in its place. */
  function withoutMoving(part, anchor, change) {
    anchor ||= [...part.querySelectorAll("[id]")].find((element) => {
      const box = element.getBoundingClientRect();
      return box.top >= 0 && box.height > 0;
    });
    const before = anchor ? anchor.getBoundingClientRect().top : 0;
    change();
    if (!anchor || !anchor.isConnected || window.scrollY === 0) return;
    const moved = anchor.getBoundingClientRect().top - before;
    if (Math.abs(moved) >= 1) window.scrollBy({ top: moved, behavior: "instant" });
  }

  const here = () => location.pathname + location.search;

  // --- Live parts -------------------------------------------------------------------------------

  const PATIENCE = 20_000;
  // A part asks a server in trouble no more often than it asks while a plan runs.
  const AFTER_FAILURE = 5_000;
  // After this time without confirmation the verdict is doubtful, whatever the reason: a hidden tab,
  // a selection in the part, a computer that slept.
  const TRUST = 120_000;
  const parts = new Map();
  // The reader's own choice, for this tab only: another tab must not be old without a word.
  let isPaused = sessionStorage.getItem("paused") === "yes";

  class LivePart {
    constructor(element) {
      this.element = element;
      this.address = here();
      this.answeredAt = Date.now();
      this.notice = null;
      this.why = texts.old;
      this.plan();
    }

    get pace() {
      const seconds = document.hidden && this.hiddenSeconds ? this.hiddenSeconds : this.element.dataset.liveSeconds;
      return 1000 * Math.max(1, Number(seconds) || 15);
    }

    /** How often the part asks in a hidden tab; undefined if it does not. */
    get hiddenSeconds() {
      return this.element.querySelector("[data-live-hidden]")?.dataset.liveHidden;
    }

    plan(delay = this.pace) {
      window.clearTimeout(this.timer);
      this.timer = window.setTimeout(() => this.refresh(), delay);
    }

    stop() {
      window.clearTimeout(this.timer);
      parts.delete(this.element);
    }

    /** Whether somebody selects or types in the part, so that it must not change. */
    get inUse() {
      if (isSelected(this.element)) return true;
      const focused = document.activeElement;
      return this.element.contains(focused) && focused.matches("input, select, textarea");
    }

    async refresh() {
      if (!this.element.isConnected) return this.stop();
      // Else a hidden tab asks for nothing. `resume` plans the next refresh when it is visible.
      if (isPaused || (document.hidden && !this.hiddenSeconds)) return;
      if (this.inUse) return this.plan(1000);
      const { address } = this;
      try {
        const response = await this.ask();
        // Somebody chose another window while the answer was on its way.
        if (address !== this.address) return;
        const answeredAt = Date.now();
        if (response.status === 401) return this.endSignedOut();
        if (response.status === 403 && response.headers.has("X-Problem")) {
          return this.stop(), location.reload();
        }
        const html = response.status === 200 ? await response.text() : "";
        const fine = response.status === 204 || (response.status === 200 && isFragment(response));
        if (!fine) return this.fail(whyNot(response));
        // The reader may have begun to select text while the answer was on its way.
        if (html && this.inUse) return this.plan(1000);
        this.answeredAt = answeredAt;
        this.clearNotice();
        if (this.tellsVerdict) window.verdict.believe();
        if (html) this.show(html, response.headers);
        else this.confirm(response.headers);
        if (this.tellsVerdict) window.verdict.heard(answeredAt);
        this.plan();
      } catch {
        this.fail(texts.old);
      }
    }

    /** Shows what another address of the same page has, in place; loads that page if it fails. */
    async go(address, anchor) {
      window.clearTimeout(this.timer);
      this.address = address;
      this.element.dataset.version = "";
      this.element.setAttribute("aria-busy", "true");
      try {
        const response = await this.ask(address);
        if (response.status !== 200 || !isFragment(response)) return location.assign(address);
        const html = await response.text();
        if (address !== this.address) return;
        this.answeredAt = Date.now();
        this.show(html, response.headers, anchor);
        this.plan();
      } catch {
        location.assign(address);
      } finally {
        this.element.removeAttribute("aria-busy");
      }
    }

    /** Whether the part shows the verdict. The verdict is then as old as the part's last answer. */
    get tellsVerdict() {
      return this.element.querySelector("[data-verdict]") !== null;
    }

    fail(why) {
      this.why = why;
      this.sayAge();
      if (this.tellsVerdict) window.verdict.doubt(this.answeredAt);
      this.plan(Math.max(this.pace, AFTER_FAILURE));
    }

    endSignedOut() {
      if (!this.isQuiet || parts.size === 1) this.sayText(texts.signedOut);
      if (this.tellsVerdict) window.verdict.doubt(this.answeredAt);
      this.stop();
    }

    /** Called every second: shows the new age, and doubts a verdict that is too old. */
    age() {
      this.showAge();
      if (this.tellsVerdict && Date.now() - this.answeredAt >= TRUST) {
        window.verdict.doubt(this.answeredAt);
      }
    }

    ask(address = here()) {
      const { live, version } = this.element.dataset;
      const headers = { Accept: "text/html", "HX-Request": "true", "HX-Target": this.element.id };
      if (version) headers["X-Data-Version"] = version;
      return fetch(live || address, {
        headers,
        cache: "no-store",
        credentials: "same-origin",
        signal: AbortSignal.timeout(PATIENCE),
      });
    }

    show(html, headers, anchor) {
      const fresh = document.createElement("template");
      fresh.innerHTML = html;
      const { dataset } = this.element;
      if (headers.has("X-Data-Version")) dataset.version = headers.get("X-Data-Version");
      if (headers.has("X-Live-Seconds")) dataset.liveSeconds = headers.get("X-Live-Seconds");
      setClock(fresh.content, this.answeredAt);
      writeTimes(fresh.content);
      document.dispatchEvent(new CustomEvent("live:arrived", { detail: fresh.content }));
      withoutMoving(this.element, anchor, () => {
        window.Idiomorph.morph(this.element, fresh.content, { morphStyle: "innerHTML", callbacks });
      });
      window.verdict.mark();
      adopt();
      this.element.dispatchEvent(new CustomEvent("live:merged", { bubbles: true }));
    }

    /** A 204: the server has looked again, just now unless it says when. */
    confirm(headers) {
      const checked = headers.get("X-Checked-At") || new Date(now()).toISOString();
      for (const element of this.element.querySelectorAll("[data-checked] time")) {
        element.dateTime = checked;
      }
      writeTimes(this.element);
      window.verdict.mark();
    }

    get isQuiet() {
      return "liveQuiet" in this.element.dataset;
    }

    sayAge() {
      if (this.isQuiet) return;
      const first = !this.notice;
      this.sayText("");
      this.showAge();
      // A screen reader reads the age once, when it appears, and not every second.
      if (first) this.notice.querySelector("[role=status]").textContent = this.ageText;
    }

    showAge() {
      if (this.notice && !this.notice.dataset.final) {
        setText(this.notice.querySelector("[data-text]"), this.ageText);
      }
    }

    get ageText() {
      const seconds = Math.floor((Date.now() - this.answeredAt) / 1000);
      return this.why.replace("{duration}", span(seconds));
    }

    sayText(text) {
      if (!this.notice) {
        const { content } = document.getElementById("live-notice");
        this.notice = content.firstElementChild.cloneNode(true);
        if (this.isQuiet) topOfPage().prepend(this.notice);
        else this.element.before(this.notice);
      }
      if (!text) return;
      this.notice.dataset.final = "true";
      this.notice.querySelector("[data-text]").textContent = text;
      this.notice.querySelector("[role=status]").textContent = text;
    }

    clearNotice() {
      if (this.notice) this.notice.remove();
      this.notice = null;
    }
  }

  /** The element where the page's contents begin. The accounts pages are Django's own. */
  function topOfPage() {
    return document.querySelector(".page-body > .container-xl") || document.querySelector("main");
  }

  /** Whether the answer is a fragment, and not a page of a proxy or of the sign-in. */
  function isFragment(response) {
    const type = response.headers.get("Content-Type") || "";
    return !response.redirected && type.startsWith("text/html");
  }

  /** Why the answer cannot be used, as a text with a placeholder for the age. */
  function whyNot(response) {
    if (response.status === 503 && response.headers.has("X-Problem")) return texts.oldDatabase;
    return texts.oldError.replace("{status}", response.status);
  }

  /** Starts the live parts that are new on the page. */
  function adopt() {
    for (const element of document.querySelectorAll("[data-live]")) {
      if (!parts.has(element)) parts.set(element, new LivePart(element));
    }
  }

  /** The part that a link with data-in-place belongs to. */
  const partOf = (link) => parts.get(link.closest("[data-live]"));

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-in-place]");
    const isPlain = !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0;
    if (!link || !isPlain || !partOf(link)) return;
    event.preventDefault();
    const address = link.pathname + link.search;
    if (address !== here()) history.pushState({}, "", address);
    partOf(link).go(address, link);
  });

  window.addEventListener("popstate", () => {
    const link = document.querySelector("[data-live] a[data-in-place]");
    const part = link && partOf(link);
    // Another place of the same page is the browser's own affair.
    if (part && part.address !== here()) part.go(here(), link);
  });

  function resume() {
    if (document.hidden || isPaused) return;
    for (const part of parts.values()) {
      part.plan(Math.max(0, part.answeredAt + part.pace - Date.now()));
    }
  }

  document.addEventListener("visibilitychange", resume);
  window.addEventListener("pageshow", resume);

  function showSwitch() {
    for (const button of document.querySelectorAll("[data-live-switch]")) {
      button.setAttribute("aria-pressed", String(!isPaused));
    }
    for (const part of parts.values()) {
      if (!isPaused) part.clearNotice();
      else if (!part.isQuiet || parts.size === 1) part.sayText(texts.paused);
    }
  }

  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-live-switch]")) return;
    isPaused = !isPaused;
    sessionStorage.setItem("paused", isPaused ? "yes" : "no");
    showSwitch();
    resume();
  });

  adopt();
  if (isPaused) showSwitch();
  window.setInterval(() => parts.forEach((part) => part.age()), 1000);
})();

/*
 * Live parts: a part of a page that keeps itself up to date. The page is complete without them.
 *
 *   <div id="overview" data-live data-live-seconds="15" data-version="7f3a">…</div>
 * asks the page's own address again every so many seconds (data-live="/other" asks another one)
 * with these headers:
 *   HX-Request: true           so the server answers with the fragment, by django-htmx
 *   HX-Target: overview        the part's id, so a page may have several
 *   X-Data-Version: 7f3a       the version of the data that is shown, where there is one
 * and understands these answers:
 *   204                        the data is still of that version; with the header X-Checked-At
 *                              where the server looked some seconds ago
 *   200, the fragment          the new contents of the part; with the headers
 *                              X-Data-Version (the new version) and X-Live-Seconds (the new pace)
 *   401                        signed out: the part says so and stops
 *   403 with X-Problem         the role was taken away: the page is loaded again and says so
 *   anything else, or nothing  the part says how old it is and why, and goes on trying, at most
 *                              every five seconds; an error of ours has the header X-Problem
 * A part is left alone in a hidden tab, while text in it is selected, and while a form control in
 * it has the focus. Idiomorph merges new contents into the old: elements keep their identity by
 * their id, so focus, scroll positions and open <details> stay; a <form>, and what a script put into
 * an element with data-live-keep, are never touched. Before, the document gets the event
 * "live:arrived" with the new contents, and then the part "live:merged".
 *
 *   <… data-checked>           holds the <time> at which the server last looked; a 204 renews it
 *   <a data-in-place>          in a part: leads to the same page at another address, whose part then
 *                              comes in place of this one, without a jump
 *   data-live-quiet            the part says nothing of its own age; and that the viewer is signed
 *                              out only where it is the page's only part, at the top of the page
 * A part that shows the verdict (verdict.js) puts it in doubt when it gets no answer.
 */
"use strict";

(() => {
  const texts = document.getElementById("texts").dataset;
  const { now, setClock, span, setText, isSelected, writeTimes } = window.times;

  // --- Merging new contents into old ------------------------------------------------------------

  // Idiomorph makes an element into which it moves old ones empty and then fills it: until it has
  // contents, nobody has seen it.
  const isShown = (element, nodeName) => element.nodeName === nodeName && element.hasChildNodes();

  const callbacks = {
    // What is typed into a form is the reader's, and so is whether a <details> is open. To pass over
    // what is equal takes an overview of 1,900 elements from some 60 ms to some 10.
    beforeNodeMorphed: (old, fresh) => !isShown(old, "FORM") && !old.isEqualNode(fresh),
    beforeAttributeUpdated: (name, old) => !(name === "open" && isShown(old, "DETAILS")),
    // The server sends such an element empty: what is in it was put there by a script.
    beforeNodeRemoved: (node) => !node.parentElement?.hasAttribute("data-live-keep"),
  };

  /** Runs `change` while the anchor, or what stands at the top of the window, stays where it is. */
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
  // A server in trouble is asked no more often than one where something runs.
  const AFTER_FAILURE = 5_000;
  // A verdict that was not confirmed for so long is in doubt whatever the reason: a tab out of sight,
  // a selection in the part, a computer that slept.
  const TRUST = 120_000;
  const parts = new Map();

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
      return 1000 * Math.max(1, Number(this.element.dataset.liveSeconds) || 15);
    }

    plan(delay = this.pace) {
      window.clearTimeout(this.timer);
      this.timer = window.setTimeout(() => this.refresh(), delay);
    }

    stop() {
      window.clearTimeout(this.timer);
      parts.delete(this.element);
    }

    /** Whether somebody is selecting or typing in it, so that it must stay as it is. */
    get inUse() {
      if (isSelected(this.element)) return true;
      const focused = document.activeElement;
      return this.element.contains(focused) && focused.matches("input, select, textarea");
    }

    async refresh() {
      if (!this.element.isConnected) return this.stop();
      // A hidden tab asks for nothing: it is planned anew when it is seen again.
      if (document.hidden) return;
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
        // Somebody may have begun to select while the answer was on its way.
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

    /** Whether it shows the verdict, which then is no better known than when it last had an answer. */
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

    /** What a second makes of it: its age goes on, and in the end its verdict is not trusted. */
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

    /** A 204: what is shown was looked at again, just now unless the server says when. */
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
      // The age is read out once, when it appears, and not with every second.
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

  /** Where the contents of the page begin; the accounts pages are Django's own. */
  function topOfPage() {
    return document.querySelector(".page-body > .container-xl") || document.querySelector("main");
  }

  /** A fragment, and not some page that a proxy or a sign-in put in its place. */
  function isFragment(response) {
    const type = response.headers.get("Content-Type") || "";
    return !response.redirected && type.startsWith("text/html");
  }

  /** Why an answer is none, with its age left open. */
  function whyNot(response) {
    if (response.status === 503 && response.headers.has("X-Problem")) return texts.oldDatabase;
    return texts.oldError.replace("{status}", response.status);
  }

  /** Takes on the live parts that are new on the page. */
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
    if (document.hidden) return;
    for (const part of parts.values()) {
      part.plan(Math.max(0, part.answeredAt + part.pace - Date.now()));
    }
  }

  document.addEventListener("visibilitychange", resume);
  window.addEventListener("pageshow", resume);

  adopt();
  window.setInterval(() => parts.forEach((part) => part.age()), 1000);
})();

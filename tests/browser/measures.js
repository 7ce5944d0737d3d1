/* What the tests ask of a page, as window.measures. Every answer is a list of faults, in words. */
"use strict";

(() => {
  // Every colour is there at once. A transition may hide that it has ended, so nothing waits for it.
  const still = new CSSStyleSheet();
  still.replaceSync("*, ::before, ::after { transition: none !important; }");
  document.adoptedStyleSheets = [still];

  const told = (element) => element.outerHTML.slice(0, 160);
  const isSeen = (element) =>
    element.checkVisibility({ visibilityProperty: true, contentVisibilityAuto: true });
  const controls = () =>
    [...document.querySelectorAll(
      "a[href], button, summary, input:not([type=hidden]), select, textarea, [tabindex='0']",
    )].filter((element) => !element.disabled && element.tabIndex >= 0 && isSeen(element));

  /** axe's violations, each with the WCAG criteria that it breaks, such as ["4.1.2"]. */
  async function axeFaults(only) {
    const { violations } = await axe.run(document, {
      resultTypes: ["violations"],
      runOnly: only,
      // The only rule for a name that differs from what is seen; axe counts it as an experiment.
      rules: { "label-content-name-mismatch": { enabled: true } },
    });
    const why = (node) => {
      const checks = [...node.any, ...node.all].map((check) => check.message).join(" ");
      return `${node.html.slice(0, 160)} (${checks.slice(0, 200)})`;
    };
    return violations.map(({ id, tags, nodes }) => {
      const numbers = tags.map((tag) => /^wcag(\d)(\d)(\d+)$/.exec(tag)).filter(Boolean);
      const criteria = numbers.map(([, ...parts]) => parts.join("."));
      return [criteria, `${id}: ${nodes.slice(0, 3).map(why).join(" | ")}`];
    });
  }

  /** Elements past the right edge of the page, unless something that scrolls contains them. */
  function wider() {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    const wide = [...document.body.querySelectorAll("*")]
      .filter((element) => element.getBoundingClientRect().right > width + 0.5);
    return ["the page", ...wide.slice(0, 5).map(told)];
  }

  /** A menu is open for a moment; other foldable parts may stay open while somebody reads. */
  function unfold() {
    for (const details of document.querySelectorAll("details:not([data-menu])")) details.open = true;
  }

  /** Ids by which a refresh recognizes rows: those with the same id, or none, look alike to it. */
  function alike() {
    const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
    const twice = ids.filter((id, place) => ids.indexOf(id) !== place);
    const broken = ids.filter((id) => !id || /\s/.test(id));
    const nameless = [...document.querySelectorAll("[data-live] :is(details, form):not([id])")];
    return [...twice, ...broken, ...nameless.map(told)];
  }

  const isMarked = (element) => {
    const style = getComputedStyle(element);
    const outlined = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
    return outlined || style.boxShadow !== "none";
  };

  /** Whether another element lies over all of it. */
  function isCovered(element) {
    const boxes = [...element.getClientRects()].filter((box) => box.width > 1 && box.height > 1);
    const shows = (x, y) => {
      const top = document.elementFromPoint(x, y);
      return top && (element.contains(top) || top.contains(element));
    };
    return boxes.length > 0 && !boxes.some((box) =>
      [0.1, 0.5, 0.9].some((part) => shows(box.left + part * box.width, box.top + box.height / 2)));
  }

  /** Gives the focus to every control in turn: criteria with their faults. */
  function focusing() {
    const faults = [];
    for (const element of controls()) {
      element.focus();
      if (document.activeElement !== element) faults.push(["2.1.1", told(element)]);
      else if (!isMarked(element)) faults.push(["2.4.7", told(element)]);
      else if (isCovered(element)) faults.push(["2.4.11", told(element)]);
    }
    document.activeElement.blur();
    return faults;
  }

  const outOfOrder = () =>
    [...document.querySelectorAll("[tabindex]")].filter((one) => one.tabIndex > 0).map(told);

  /** Texts that their box cuts off, unless the whole text is in a title or the box scrolls. */
  function cutOff() {
    const cuts = (style) => /hidden|clip/.test(style.overflowX + style.overflowY);
    return [...document.body.querySelectorAll("*")].filter((element) => {
      // What is cheap to ask comes first, because few elements remain.
      if (!cuts(getComputedStyle(element))) return false;
      const isLarger = element.scrollWidth > element.clientWidth + 1 || element.scrollHeight > element.clientHeight + 1;
      if (!isLarger || element.closest("[title], svg, select") || !isSeen(element)) return false;
      const box = element.getBoundingClientRect();
      return box.width > 1 && box.height > 1 && Boolean(element.innerText?.trim());
    });
  }

  const lostInHeader = () => cutOff().filter((one) => one.closest("header")).map(told);

  /** What a reader loses who spaces text as WCAG 1.4.12 says. */
  function spacing() {
    const before = new Set(cutOff());
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(`
      * { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important; }
      p { margin-block-end: 2em !important; }`);
    document.adoptedStyleSheets = [still, sheet];
    const lost = cutOff().filter((element) => !before.has(element)).map(told);
    const faults = [...lost, ...wider()];
    document.adoptedStyleSheets = [still];
    return faults;
  }

  // --- Contrast of what is not text ---------------------------------------------------------------

  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

  const read = new Map();

  /** Red, green, blue and alpha of any CSS colour. */
  function channels(colour) {
    if (!read.has(colour)) {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      read.set(colour, [...canvas.getImageData(0, 0, 1, 1).data]);
    }
    return read.get(colour);
  }

  function luminance(colour) {
    const [red, green, blue] = channels(colour).slice(0, 3).map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  }

  function contrast(one, other) {
    const [dark, light] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (light + 0.05) / (dark + 0.05);
  }

  function groundOf(element) {
    for (let one = element; one; one = one.parentElement) {
      const { backgroundColor } = getComputedStyle(one);
      if (channels(backgroundColor)[3] === 255) return backgroundColor;
    }
    return "white";
  }

  /** Fields whose border or hint is hardly seen, and a mark of the focus that is hardly seen. */
  function faint() {
    const fields = "input:not([type=hidden], [type=submit]), select, textarea";
    const seen = [...document.querySelectorAll(fields)].filter(isSeen);
    const borders = seen.filter((field) =>
      contrast(getComputedStyle(field).borderTopColor, groundOf(field.parentElement)) < 3);
    const hints = seen.filter((field) => field.placeholder &&
      contrast(getComputedStyle(field, "::placeholder").color, groundOf(field)) < 4.5);
    const faults = [
      ...borders.map((field) => `border: ${told(field)}`), ...hints.map((field) => `hint: ${told(field)}`),
    ];
    for (const control of controls()) {
      control.focus({ preventScroll: true });
      const ring = getComputedStyle(control).outlineColor;
      if (contrast(ring, groundOf(control.parentElement)) < 3) faults.push(`focus: ${told(control)}`);
    }
    document.activeElement.blur();
    return faults;
  }

  window.measures = {
    alike, axeFaults, controls, faint, focusing, isMarked, lostInHeader, outOfOrder, spacing,
    unfold, wider,
  };
})();

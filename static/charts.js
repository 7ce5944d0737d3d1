/*
 * Charts of time series, drawn by uPlot from what the page holds. Each has its table beside it, so
 * without scripts, and for who cannot see them, nothing is missing.
 *
 *   <div class="chart" data-chart-unit="ms|s" data-chart-label="…" data-live-keep
 *        data-chart-points="[[steps in seconds…],[numbers and nulls…],[steps of plans…]]"
 *        data-chart-plan="/executions/at/0/"   where a point leads to, with its plan for the 0
 *        data-chart-normal="300 660"           the band of normal values
 *        data-chart-warning="1200" data-chart-warning-text="…"      limits, drawn as lines
 *        data-chart-critical="3900" data-chart-critical-text="…"
 *        data-chart-grows>                     the last value grows by a second each second, up to now
 * Without the third list, a point's time is its plan. A tap shows a point, another one opens its plan.
 * A chart's table, open without scripts, is folded here.
 * A live part keeps the drawing and changes the points; the chart is then drawn from the new ones.
 * A canvas knows no style sheet: colours are read from it, and again when the theme changes.
 */
"use strict";

(() => {
  const texts = document.getElementById("texts").dataset;
  const { now } = window.times;
  const HEIGHT = 176;
  const FONT = getComputedStyle(document.body).fontFamily;
  const charts = new Map();

  const lang = document.documentElement.lang;
  const style = (name) => getComputedStyle(probe).getPropertyValue(name).trim();

  // light-dark() is resolved only in a property for colours, not in a custom property.
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  function colour(name) {
    probe.style.color = `var(${name})`;
    return style("color");
  }

  const faint = (rgb, share) => rgb.replace("rgb(", "rgba(").replace(")", `, ${share})`);

  const inLocalZone = () =>
    document.querySelector("[data-zone=local]")?.getAttribute("aria-pressed") === "true";

  /** A number of the chart's unit as the page writes it: "850 ms", "1.2 s", "12 min". */
  function written(value, unit) {
    if (value === null || value === undefined) return "—";
    const seconds = unit === "ms" ? value / 1000 : value;
    if (seconds === 0) return "0";
    if (seconds < 1) return `${Math.round(seconds * 1000).toLocaleString(lang)} ${texts.ms}`;
    if (seconds < 60) {
      const digits = seconds < 10 && seconds % 1 ? 1 : 0;
      return `${seconds.toLocaleString(lang, { maximumFractionDigits: digits })} ${texts.s}`;
    }
    const minutes = seconds / 60;
    if (minutes < 120) {
      return `${minutes.toLocaleString(lang, { maximumFractionDigits: 1 })} ${texts.min}`;
    }
    return `${(minutes / 60).toLocaleString(lang, { maximumFractionDigits: 1 })} ${texts.h}`;
  }

  const dayAndTime = uPlot.fmtDate("{YYYY}-{MM}-{DD} {HH}:{mm}");
  const zoned = (seconds) => {
    const date = new Date(seconds * 1000);
    return inLocalZone() ? date : uPlot.tzDate(date, "Etc/UTC");
  };

  // Steps that read well as times, in the units of the chart.
  const STEPS = {
    ms: [1, 2, 5, 10, 20, 50, 100, 200, 250, 500, 1e3, 2e3, 5e3, 1e4, 3e4, 6e4, 12e4, 3e5, 6e5, 18e5],
    s: [1, 2, 5, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 21600, 43200, 86400,
      172800, 432800, 864000],
  };

  function limitsOf({ dataset }) {
    const kinds = [
      ["warning", dataset.chartWarning, dataset.chartWarningText],
      ["critical", dataset.chartCritical, dataset.chartCriticalText],
    ];
    return kinds
      .filter(([, value]) => value)
      .map(([kind, value, text]) => ({ kind, value: Number(value), text }));
  }

  function drawBand(chart, { dataset }) {
    if (!dataset.chartNormal) return;
    const [low, high] = dataset.chartNormal.split(" ").map((value) => chart.valToPos(Number(value), "y", true));
    const { ctx, bbox } = chart;
    ctx.save();
    ctx.fillStyle = colour("--chart-normal");
    ctx.fillRect(bbox.left, high, bbox.width, low - high);
    ctx.restore();
  }

  /** A dashed line with its name. One above the chart's values is named at the top instead. */
  function drawLimit(chart, { kind, value, text }) {
    const { ctx, bbox } = chart;
    const isSeen = value <= chart.scales.y.max;
    const y = isSeen ? chart.valToPos(value, "y", true) : bbox.top;
    const gap = 4 * devicePixelRatio;
    ctx.save();
    ctx.font = `${11 * devicePixelRatio}px ${FONT}`;
    ctx.fillStyle = ctx.strokeStyle = colour(`--chart-${kind}`);
    ctx.textAlign = isSeen ? "left" : "right";
    const isHigh = y - bbox.top < 16 * devicePixelRatio;
    ctx.textBaseline = isHigh ? "top" : "bottom";
    const beside = isHigh ? y + gap : y - gap;
    ctx.fillText(text, isSeen ? bbox.left + gap : bbox.left + bbox.width - gap, beside);
    if (isSeen) {
      ctx.setLineDash([gap, gap]);
      ctx.lineWidth = devicePixelRatio;
      ctx.beginPath();
      ctx.moveTo(bbox.left, y);
      ctx.lineTo(bbox.left + bbox.width, y);
      ctx.stroke();
    }
    ctx.restore();
  }

  function options(element) {
    const { chartUnit: unit, chartLabel: label } = element.dataset;
    const quiet = colour("--quiet");
    const line = colour("--line");
    const stroke = colour("--brand");
    const limits = limitsOf(element);
    const font = `12px ${FONT}`;
    const axis = { stroke: quiet, font, grid: { stroke: line, width: 1 }, ticks: { show: false } };
    return {
      width: element.clientWidth,
      height: HEIGHT,
      // The right side has room for half a label of the time axis, because a tick may be at the
      // very end.
      padding: [8, 20, 0, 0],
      tzDate: zoned,
      legend: { live: true },
      cursor: { y: false, points: { size: 7 } },
      // Wherever the values are, the lower limit is in sight.
      scales: { y: { range: (_chart, _least, most) => [0, Math.max((most || 1) * 1.1, (limits[0]?.value || 0) * 1.2)] } },
      hooks: {
        drawClear: [(chart) => drawBand(chart, element)],
        draw: [(chart) => limits.forEach((limit) => drawLimit(chart, limit))],
      },
      axes: [
        { ...axis, size: 30, values: "{HH}:{mm}", space: 56, grid: { show: false } },
        {
          ...axis,
          size: 60,
          space: 28,
          incrs: STEPS[unit],
          values: (_chart, values) => values.map((value) => written(value, unit)),
        },
      ],
      series: [
        { label: texts.chartPlan, value: (_chart, value) => (value ? dayAndTime(zoned(value)) : "—") },
        {
          label,
          // A day's sawtooth is so dense that a full line would hide the band behind it.
          stroke: "chartGrows" in element.dataset ? faint(stroke, 0.6) : stroke,
          width: "chartGrows" in element.dataset ? 1 : 1.5,
          fill: faint(stroke, 0.1),
          points: { show: false },
          value: (_chart, value) => written(value, unit),
        },
      ],
    };
  }

  function summed(steps) {
    let sum = 0;
    return steps.map((step) => (sum += step));
  }

  class Chart {
    constructor(element) {
      this.element = element;
      this.draw();
      element.addEventListener("click", (event) => this.open(event));
      this.observer = new ResizeObserver(() => this.fit());
      this.observer.observe(element);
    }

    get points() {
      const [steps, values, plans] = JSON.parse(this.element.dataset.chartPoints);
      const times = summed(steps);
      this.plans = plans ? summed(plans) : times;
      if ("chartGrows" in this.element.dataset && times.length) {
        const present = Math.max(Math.floor(now() / 1000), times.at(-1));
        values[values.length - 1] += present - times.at(-1);
        times[times.length - 1] = present;
      }
      return [times, values];
    }

    draw() {
      if (this.plot) this.plot.destroy();
      this.shown = this.element.dataset.chartPoints;
      this.plot = new uPlot(options(this.element), this.points, this.element);
    }

    fit() {
      const width = this.element.clientWidth;
      if (width && width !== this.plot.width) this.plot.setSize({ width, height: HEIGHT });
    }

    update() {
      if (this.shown === this.element.dataset.chartPoints) return;
      this.shown = this.element.dataset.chartPoints;
      this.plot.setData(this.points);
    }

    /** Nobody sees a value under a finger before they tap, so the first tap only shows it. */
    open({ pointerType }) {
      const { idx } = this.plot.cursor;
      const isNew = this.tapped !== idx;
      this.tapped = idx;
      if (idx === null || idx === undefined || (pointerType === "touch" && isNew)) return;
      location.assign(this.element.dataset.chartPlan.replace("/0/", `/${this.plans[idx]}/`));
    }

    /** The time goes on, and so does what grows with it. */
    grow() {
      if ("chartGrows" in this.element.dataset) this.plot.setData(this.points);
    }

    stop() {
      this.observer.disconnect();
      this.plot.destroy();
    }
  }

  function adopt() {
    for (const [element, chart] of charts) {
      if (element.isConnected) chart.update();
      else {
        chart.stop();
        charts.delete(element);
      }
    }
    for (const element of document.querySelectorAll("[data-chart-points]")) {
      if (!charts.has(element)) charts.set(element, new Chart(element));
    }
  }

  /** Tables are open for a browser without scripts. A reader decides about those on the page. */
  function foldTables(scope, isOpen) {
    for (const table of scope.querySelectorAll(".chart-table")) table.open = isOpen(table);
  }

  document.addEventListener("live:arrived", ({ detail }) => {
    foldTables(detail, ({ id }) => document.getElementById(id)?.open ?? false);
  });
  foldTables(document, () => false);
  window.setInterval(() => {
    if (!document.hidden) charts.forEach((chart) => chart.grow());
  }, 15_000);

  const redraw = () => charts.forEach((chart) => chart.draw());

  document.addEventListener("live:merged", adopt);
  window.addEventListener("theme:changed", redraw);
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-zone]")) redraw();
  });
  adopt();
})();

/*
 * Charts of time series, drawn by uPlot from what the page holds. Each has its table beside it, so
 * without scripts, and for who cannot see them, nothing is missing.
 *
 *   <div class="chart" data-chart-points="[[steps in seconds…],[numbers and nulls…]]" data-chart-unit="ms|s"
 *        data-chart-label="…" data-live-keep>
 * A live part keeps the drawing and changes the points; the chart is then drawn from the new ones.
 * A canvas knows no style sheet: colours are read from it, and again when the theme changes.
 */
"use strict";

(() => {
  const texts = document.getElementById("texts").dataset;
  const HEIGHT = 176;
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

  const inLocalZone = () =>
    document.querySelector("[data-zone=local]")?.getAttribute("aria-pressed") === "true";

  /** A number of the chart's unit as the page writes it: "850 ms", "1.2 s", "12 min". */
  function written(value, unit) {
    if (value === null || value === undefined) return "—";
    const seconds = unit === "ms" ? value / 1000 : value;
    if (seconds === 0) return "0";
    if (seconds < 1) return `${Math.round(seconds * 1000).toLocaleString(lang)} ms`;
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

  function options(element) {
    const { chartUnit: unit, chartLabel: label } = element.dataset;
    const quiet = colour("--quiet");
    const line = colour("--line");
    const stroke = colour("--brand");
    const font = "12px Inter, system-ui, sans-serif";
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
      scales: { y: { range: (_chart, _least, most) => [0, (most || 1) * 1.1] } },
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
          stroke,
          width: 1.5,
          fill: colour("--brand").replace("rgb(", "rgba(").replace(")", ", 0.1)"),
          points: { show: false },
          value: (_chart, value) => written(value, unit),
        },
      ],
    };
  }

  class Chart {
    constructor(element) {
      this.element = element;
      this.draw();
      this.observer = new ResizeObserver(() => this.fit());
      this.observer.observe(element);
    }

    get points() {
      const [steps, values] = JSON.parse(this.element.dataset.chartPoints);
      let time = 0;
      return [steps.map((step) => (time += step)), values];
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

  const redraw = () => charts.forEach((chart) => chart.draw());

  document.addEventListener("live:merged", adopt);
  window.addEventListener("theme:changed", redraw);
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-zone]")) redraw();
  });
  adopt();
})();

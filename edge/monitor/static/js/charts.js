// Charts, drawn in SVG at the size that they have on the screen.  Colours come from the style sheet.

import { coalesce, h, setAttribute, svg } from "./dom.js";

const LEFT = 54; // px, for the axis' numbers
const RIGHT = 10;
const TOP = 14;
const BOTTOM = 24;

/** A chart that redraws itself when its size or its data change. */
class Chart {
  constructor() {
    this.drawing = svg("svg", { class: "chart-drawing", role: "img" });
    this.element = h("div", { class: "chart" }, this.drawing);
    this.data = null;
    this.redraw = coalesce(() => this.draw());
    new ResizeObserver(this.redraw).observe(this.element);
  }

  /** Show `data`, told in words by `label`. */
  update(data, label) {
    this.data = data;
    setAttribute(this.drawing, "aria-label", label);
    this.redraw();
  }

  draw() {
    const { clientWidth: width, clientHeight: height } = this.element;
    if (!this.data || width < LEFT + RIGHT + 20 || height < 60) return;
    setAttribute(this.drawing, "viewBox", `0 0 ${width} ${height}`);
    this.area = { x: LEFT, y: TOP, width: width - LEFT - RIGHT, height: height - TOP - BOTTOM };
    this.drawing.replaceChildren(...this.marks(this.data));
  }

  /** Return gridlines and their numbers for values 0..`top`. */
  grid(top, format) {
    const step = niceStep(top / 4);
    const lines = [];
    for (let value = 0; value <= top * 1.0001; value += step) {
      const y = this.y(value, top);
      lines.push(svg("line", { class: "chart-grid", x1: LEFT, x2: LEFT + this.area.width, y1: y, y2: y }));
      lines.push(svg("text", { class: "chart-number is-end", x: LEFT - 6, y: y + 4 }, format(value)));
    }
    return lines;
  }

  /** Return a text below the axis; `share` 0..1 of its width. */
  below(share, text) {
    const anchor = share === 0 ? "" : share === 1 ? "is-end" : "is-middle";
    const x = LEFT + share * this.area.width;
    return svg("text", { class: `chart-number ${anchor}`, x, y: this.area.y + this.area.height + 17 }, text);
  }

  y(value, top) {
    return this.area.y + this.area.height * (1 - Math.min(value, top) / top);
  }
}

/** Latencies of the latest parts, each a mark, against the deadline.  Data: {points, deadline, words}. */
export class LatencyChart extends Chart {
  marks({ points, deadline, words }) {
    const highest = Math.max(0, ...points.map(([, value]) => value));
    const top = Math.max(1, 1.12 * deadline, Math.min(1.05 * highest, 2 * deadline || highest));
    const x = (index) => LEFT + ((index + 0.5) / Math.max(points.length, 1)) * this.area.width;
    const placed = points.map(([, value], index) => ({ x: x(index), y: this.y(value, top), late: value > deadline }));
    const good = placed.filter((p) => !p.late).map((p) => `M${p.x.toFixed(1)} ${p.y.toFixed(1)}h0`);
    const late = placed.filter((p) => p.late).map((p) => `M${p.x.toFixed(1)} ${p.y.toFixed(1)}m-4-4l8 8m0-8l-8 8`);
    const limit = this.y(deadline, top);
    return [
      ...this.grid(top, words.number),
      svg("line", { class: "chart-limit", x1: LEFT, x2: LEFT + this.area.width, y1: limit, y2: limit }),
      svg("text", { class: "chart-limit-label is-end", x: LEFT + this.area.width, y: limit - 5 }, words.deadline),
      svg("path", { class: "chart-dots", d: good.join("") }),
      svg("path", { class: "chart-late", d: late.join("") }),
      this.below(0, words.oldest),
      this.below(1, words.newest),
    ];
  }
}

/** Share of rejects a minute, with minutes without parts left out.  Data: {points: [[x 0..1, share]], words}. */
export class TrendChart extends Chart {
  marks({ points, words }) {
    const highest = Math.max(0, ...points.map(([, share]) => share ?? 0));
    const top = Math.min(1, Math.max(0.02, 1.2 * highest));
    const place = ([at, share]) => `${(LEFT + at * this.area.width).toFixed(1)} ${this.y(share, top).toFixed(1)}`;
    const runs = unbroken(points);
    const line = runs.map((run) => `M${run.map(place).join("L")}${run.length === 1 ? "h0" : ""}`).join("");
    const floor = this.y(0, top);
    const filled = runs
      .map((run) => `M${place([run[0][0], 0])}L${run.map(place).join("L")}L${place([run.at(-1)[0], 0])}Z`)
      .join("");
    return [
      ...this.grid(top, words.percent),
      svg("line", { class: "chart-axis", x1: LEFT, x2: LEFT + this.area.width, y1: floor, y2: floor }),
      svg("path", { class: "chart-fill", d: filled }),
      svg("path", { class: "chart-line", d: line }),
      this.below(0, words.oldest),
      this.below(1, words.newest),
    ];
  }
}

function unbroken(points) {
  const runs = [[]];
  for (const point of points) {
    if (point[1] === null) runs.push([]);
    else runs.at(-1).push(point);
  }
  return runs.filter((run) => run.length);
}

/** Return 1, 2, 2.5 or 5 times a power of ten, at least `least`. */
function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((step) => step >= least * 0.999);
}

// A frame with its findings drawn, in the frame's own pixels.

import { h, setAttribute, svg } from "./dom.js";
import { percent } from "./format.js";
import { defect } from "./words.js";

const LABEL = 26; // frame width in a label's height
const WIDE = 0.6; // of a character, in a label's height

export class FrameView {
  /** `label` gives the picture's text alternative from what is shown; `patienceMs`: how long one may load, if limited. */
  constructor(label, patienceMs = null) {
    this.label = label;
    this.patienceMs = patienceMs;
    this.image = h("img", { class: "frame-image", alt: "" });
    this.overlay = svg("svg", { class: "frame-findings", "aria-hidden": "true" });
    this.element = h("div", { class: "frame is-empty" }, this.image, this.overlay);
    this.loading = null;
    this.waiting = null;
    this.timer = null;
  }

  /**
   * Show a picture: {url, width, height, findings, ...}.  The old one stays until the new one is there, and findings
   * change together with it, and so does what `then` draws.  While one loads, only the newest that follows is kept.
   */
  show(shown, then = () => {}) {
    if (this.loading) {
      this.waiting = [shown, then];
      return;
    }
    const image = new Image();
    this.loading = image;
    image.decoding = "sync"; // with the findings, not after them
    image.onload = () => {
      this.loaded(image, shown);
      then();
      this.next();
    };
    image.onerror = () => this.next();
    if (this.patienceMs) this.timer = setTimeout(() => this.next(), this.patienceMs);
    image.src = shown.url;
  }

  loaded(image, shown) {
    setAttribute(image, "class", "frame-image");
    image.alt = this.label(shown);
    this.image.replaceWith(image);
    this.image = image;
    this.element.classList.remove("is-empty");
    const width = shown.width || image.naturalWidth;
    const height = shown.height || image.naturalHeight;
    this.element.style.setProperty("--aspect", width / height);
    setAttribute(this.overlay, "viewBox", `0 0 ${width} ${height}`);
    this.overlay.replaceChildren(...(shown.findings ?? []).map((finding) => drawn(finding, width)));
  }

  next() {
    const { loading, waiting } = this;
    clearTimeout(this.timer);
    loading.onload = loading.onerror = null;
    if (!loading.complete) loading.src = ""; // ends the request
    this.loading = this.waiting = null;
    if (waiting) this.show(...waiting);
  }
}

function drawn({ cls, score, box }, frameWidth) {
  const [x1, y1, x2, y2] = box;
  const size = frameWidth / LABEL;
  const where = { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
  const above = y1 > 1.4 * size;
  const text = `${defect(cls)} ${percent(score, 0)}`;
  const isRight = x1 + WIDE * size * text.length > frameWidth; // such a label runs towards the middle
  const place = { x: isRight ? x2 : x1, y: above ? y1 - 0.35 * size : y2 + size, "font-size": size };
  const anchor = isRight ? "is-end" : "";
  return svg(
    "g",
    { class: "finding" },
    svg("rect", { class: "finding-casing", ...where }),
    svg("rect", { class: "finding-box", ...where }),
    svg("text", { class: `finding-label ${anchor}`, ...place }, text),
  );
}

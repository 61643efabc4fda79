// The last rejects, with their pictures.  A card is there at once, by the part's own event; its picture follows as soon
// as the evidence has it.

import { get } from "../api.js";
import { arrange, coalesce, h, setText } from "../dom.js";
import * as format from "../format.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { panel, partPath } from "../panel.js";
import { defect } from "../words.js";

const SHOWN = 8;
const FIRST_LOOK_MS = 400; // for a picture
const LOOK_MS = 1000; // until the next look after one that brought something; after others twice as long as before
const LONGEST_LOOK_MS = 4000;
const PATIENCE_MS = 6000; // for one part's picture: one that the evidence had to drop never comes

export class LastRejects {
  constructor() {
    this.list = h("ol", { class: "rejects", id: "rejects" });
    this.empty = h("p", { class: "empty" }, t("rejects.none"));
    const all = h("a", { class: "panel-link", href: "/gallery?outcome=REJECT" }, t("rejects.all"));
    this.element = panel("rejects", t("rejects.title"), all, this.list, this.empty);
    this.cards = new Map(); // newest first, by what a part is known by
    this.waitMs = FIRST_LOOK_MS;
    this.timer = null;
    this.stopped = false;
    this.draw = coalesce(() => this.drawNow());
  }

  /** Take a part's event; all but rejects are ignored. */
  take(part) {
    if (part.outcome !== "REJECT") return;
    const finding = strongest(part.findings ?? []);
    const { cls, score } = finding ?? part;
    this.add({ ...part, cls, score, size_px: finding ? sides(finding.box) : part.size_px });
    this.draw();
    this.lookSoon();
  }

  /** Ask for the pictures, and again while one may still come. */
  async load() {
    const waited = this.waiting();
    try {
      const { pictures } = await get("/api/pictures", { outcome: "REJECT", limit: SHOWN });
      pictures.forEach((picture) => this.add(picture));
      this.draw();
    } catch (error) {
      console.warn(`The last rejects: ${error.message}`);
    }
    const hasCome = waited.some((card) => card.hasPicture);
    this.waitMs = hasCome ? LOOK_MS : Math.min(2 * this.waitMs, LONGEST_LOOK_MS);
    if (this.waiting().length) this.lookSoon();
    else this.waitMs = FIRST_LOOK_MS;
  }

  waiting() {
    const now = performance.now();
    return [...this.cards.values()].filter((card) => !card.hasPicture && now - card.madeAt < PATIENCE_MS);
  }

  stop() {
    this.stopped = true;
    clearTimeout(this.timer);
  }

  lookSoon() {
    if (this.timer !== null || this.stopped) return;
    this.timer = setTimeout(() => {
      this.timer = null;
      this.load();
    }, this.waitMs);
  }

  add(reject) {
    const key = partPath(reject);
    if (!this.cards.has(key)) this.cards.set(key, new Card(reject));
    this.cards.get(key).update(reject);
  }

  /** Put the newest cards in order. */
  drawNow() {
    const newest = [...this.cards].sort(([, a], [, b]) => b.wallMs - a.wallMs).slice(0, SHOWN);
    this.cards = new Map(newest);
    arrange(this.list, newest.map(([, card]) => card.element));
    this.empty.hidden = newest.length > 0;
  }
}

class Card {
  constructor(reject) {
    const { part, wall_ms: wallMs, rule } = reject;
    this.wallMs = wallMs;
    this.madeAt = performance.now();
    this.hasPicture = false;
    this.picture = h("span", { class: "reject-picture" }, h("span", { class: "reject-nothing" }, icon("picture")));
    this.title = h("strong", { class: "reject-class" });
    this.score = h("span", { class: "reject-score" });
    this.size = h("span", { class: "reject-size" });
    const link = h(
      "a",
      { class: "reject", href: partPath(reject), "data-part": part },
      this.picture,
      h("span", { class: "reject-head" }, this.title, " ", this.score),
      this.size,
      h("span", { class: "reject-rule" }, t("rejects.rule", { rule })),
      h("span", { class: "reject-part" }, t("live.part", { part })),
      h("span", { class: "reject-when" }, format.moment(wallMs)),
    );
    this.element = h("li", {}, link);
  }

  /** Add what is known now; an event knows the size, the evidence has the picture. */
  update({ cls, score, size_px: size, rule, thumb }) {
    setText(this.title, cls ? defect(cls) : rule);
    if (cls && typeof score === "number") setText(this.score, format.percent(score, 0));
    if (size) setText(this.size, format.size(size));
    if (thumb && !this.hasPicture) {
      this.picture.replaceChildren(h("img", { src: thumb, alt: "", decoding: "async" }));
      this.hasPicture = true;
    }
  }
}

function sides([x1, y1, x2, y2]) {
  return [x2 - x1, y2 - y1];
}

function strongest(findings) {
  return findings.reduce((best, one) => (best && best.score >= one.score ? best : one), null);
}

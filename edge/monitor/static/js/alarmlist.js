// The alarms that stand.  A row stays while its alarm does: its words may change every second, and take neither the focus
// nor what somebody is writing.

import { arrange, h, setAttribute, setText } from "./dom.js";
import * as format from "./format.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { own } from "./panel.js";
import { alarm, meaning } from "./words.js";

export class AlarmList {
  /** `acknowledge(one, titleId)` gives what a row offers to do, or null. */
  constructor(attributes = {}, acknowledge = () => null) {
    this.acknowledge = acknowledge;
    this.element = h("ul", { class: "alarm-list", id: "standing", ...attributes });
    this.none = h("li", { class: "alarm-none" }, icon("check"), t("alarms.none"));
    this.rows = new Map(); // by what a row is about
  }

  /** Show `alarms`; return whether one came, went or was acknowledged since the last time. */
  show(alarms) {
    const before = [...this.rows.keys()].join();
    this.rows = new Map(alarms.map((one) => [keyOf(one), this.rows.get(keyOf(one)) ?? this.row(one)]));
    alarms.forEach((one) => this.rows.get(keyOf(one)).update(one));
    const rows = [...this.rows.values()].map((row) => row.element);
    arrange(this.element, rows.length ? rows : [this.none]);
    return before !== [...this.rows.keys()].join();
  }

  row(one) {
    const titleId = `alarm-${one.source}-${one.name}`;
    const words = h("span", { id: titleId });
    const detail = own("", "alarm-detail");
    const remedy = h("span", { class: "alarm-remedy" });
    const since = h("span", {});
    const seen = one.acknowledged_by ? t("alarms.acknowledged", { who: one.acknowledged_by }) : "";
    const chip = seen ? h("span", { class: "chip is-seen" }, icon("check"), seen) : null;
    const times = h("span", { class: "alarm-since" }, since, " ", chip);
    const title = h("strong", { class: "alarm-title" }, icon("WARNING"), words);
    const offered = seen ? null : this.acknowledge(one, titleId);
    const element = h("li", { class: "alarm-row", "data-alarm": one.name }, title, detail, remedy, times, offered);
    const update = (told) => {
      const said = alarm(told);
      setText(words, said.title);
      setText(detail, said.detail);
      setText(remedy, said.remedy);
      for (const text of [words, remedy]) setAttribute(text, "lang", said.lang);
      const at = { source: meaning("source", told.source), time: format.moment(told.since_ms) };
      setText(since, [t("alarms.since", at), told.stale ? t("alarms.stale") : ""].filter(Boolean).join(" · "));
    };
    return { element, update };
  }
}

function keyOf(one) {
  return [one.source, one.name, one.since_ms, one.acknowledged_by ?? ""].join("/");
}

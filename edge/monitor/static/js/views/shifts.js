// Shift totals of a day, and the same as CSV.

import { get, me, refreshMe } from "../api.js";
import { h, setText } from "../dom.js";
import * as format from "../format.js";
import { plural, t } from "../i18n.js";
import { icon } from "../icons.js";
import { failure, field, page, panel, table } from "../panel.js";
import { meaning, outcome, outcomeClass } from "../words.js";

const DAY_MS = 86_400_000;
const OUTCOMES = [["pass", "PASS"], ["reject", "REJECT"], ["no_decision", "NO_DECISION"]];
const REASONS_SHOWN = 6;

export function shifts({ feed, navigate }) {
  const asked = new URLSearchParams(location.search).get("day");
  const bar = h("div", { class: "toolbar" });
  const line = h("p", { class: "line", role: "status" }, t("gallery.loading"));
  const body = h("div", { class: "stack" });
  const day = () => (format.isDay(asked) ? asked : today());
  const draw = () => bar.replaceChildren(...tools(day(), navigate));
  const load = async () => {
    try {
      const known = today();
      await refreshMe().catch(() => {}); // a page may be older than the day
      if (today() !== known) draw();
      const found = await get("/api/shifts", { day: day() });
      body.replaceChildren(totals(found), mix(found.shifts), ...causes(found.total));
      const zone = found.timezone ? t("shifts.zone", { zone: found.timezone }) : "";
      const missing = found.total.missing ? plural("shifts.missing", found.total.missing) : "";
      const pieces = feed.state?.challenge?.configured ? t("shifts.pieces") : "";
      setText(line, [zone, missing, pieces].filter(Boolean).join(" "));
    } catch (error) {
      line.replaceChildren(failure(error));
    }
  };
  draw();
  load();
  return { title: t("shifts.title"), element: page(t("shifts.title"), bar, line, body) };
}

/** Return the day to which the present shift belongs: at night that is yesterday. */
function today() {
  return me.day || format.isoDay(Date.now());
}

function tools(day, navigate) {
  const go = (chosen) => chosen && navigate(`/shifts?day=${chosen}`);
  const picker = h("input", { type: "date", id: "day", value: day, max: today(), on: { change: () => go(picker.value) } });
  const step = (days, name, label) => {
    const to = new Date(Date.parse(`${day}T12:00Z`) + days * DAY_MS).toISOString().slice(0, 10);
    const isAhead = to > today();
    return h("button", { class: "button is-icon", type: "button", "aria-label": label, disabled: isAhead, on: { click: () => go(to) } }, icon(name));
  };
  const href = `/api/shifts.csv?day=${day}`;
  const csv = h("a", { class: "button", id: "csv", href, download: true }, icon("download"), t("shifts.csv"));
  const before = step(-1, "back", t("shifts.before"));
  const after = step(1, "next", t("shifts.after"));
  return [before, field(t("shifts.day"), picker), after, csv];
}

function totals({ shifts: each, total }) {
  const headings = [t("shifts.shift"), t("counts.triggers"), ...OUTCOMES.map(([, name]) => outcome(name)), t("shifts.rate"), t("shifts.p99")];
  const rows = each.map((shift) => row(t("shifts.span", { start: shift.start, end: shift.end }), shift));
  return panel("totals", t("shifts.totals"), table(t("shifts.totals"), headings, [...rows, row(t("shifts.total"), total)]));
}

function row(name, sums) {
  const counted = [sums.triggers, ...OUTCOMES.map(([key]) => sums[key])];
  const numbers = counted.map((value) => (sums.begun === false ? t("word.none") : format.count(value ?? 0)));
  const rate = typeof sums.reject_rate === "number" ? format.percent(sums.reject_rate) : t("word.none");
  const p99 = typeof sums.p99_ms === "number" ? format.ms(sums.p99_ms) : t("word.none");
  return [name, ...[...numbers, rate, p99].map((number) => ({ number }))];
}

/** Each shift as one bar of its outcomes; the table above says the same in numbers. */
function mix(each) {
  const most = Math.max(1, ...each.map((shift) => shift.triggers));
  const bars = each.map((shift) => {
    const pieces = OUTCOMES.map(([key, name]) => share(name, (shift[key] ?? 0) / most));
    const name = t("shifts.span", { start: shift.start, end: shift.end });
    return h("li", {}, h("span", { class: "mix-name" }, name), h("span", { class: "mix-bar" }, pieces));
  });
  const keys = OUTCOMES.map(([, name]) => h("li", {}, h("span", { class: `swatch ${outcomeClass(name)}` }), outcome(name)));
  const section = panel("mix", t("shifts.mix"), h("ul", { class: "mix", "aria-hidden": "true" }, bars), h("ul", { class: "legend" }, keys));
  return section;
}

function share(name, part) {
  const piece = h("span", { class: `mix-piece ${outcomeClass(name)}` });
  piece.style.width = `${100 * part}%`;
  return piece;
}

function causes({ causes: by = {}, rules = {} }) {
  const told = Object.entries(by).filter(([name]) => name !== "clean" && name !== "rule");
  return [
    counted("rules", t("shifts.rules"), t("part.rule"), Object.entries(rules), (name) => name),
    counted("causes", t("shifts.causes"), t("part.cause"), told, (name) => meaning("cause", name)),
  ].filter(Boolean);
}

function counted(name, title, heading, entries, text) {
  const most = entries.filter(([, n]) => n).sort((a, b) => b[1] - a[1]).slice(0, REASONS_SHOWN);
  if (!most.length) return null;
  const rows = most.map(([key, n]) => [text(key), { number: format.count(n) }]);
  return panel(name, title, table(title, [heading, t("shifts.parts")], rows));
}

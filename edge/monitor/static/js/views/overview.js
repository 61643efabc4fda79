// The overview: what the line does right now.

import { AlarmList } from "../alarmlist.js";
import { h, setAttribute, setText } from "../dom.js";
import { listen } from "../feed.js";
import * as format from "../format.js";
import { plural, t } from "../i18n.js";
import { icon, outcomeIcon } from "../icons.js";
import { panel } from "../panel.js";
import { FrameView } from "../picture.js";
import { LatencyChart, TrendChart } from "../charts.js";
import { defect, health, meaning, outcome, outcomeClass } from "../words.js";
import { LastRejects } from "./rejects.js";

const OLD_PICTURE_MS = 3000; // and one that loads for so long gives way to the next
const DEVICES = ["camera", "trigger", "engine", "gateway", "plc", "disk"];
const COUNTS = [["pass", "PASS"], ["reject", "REJECT"], ["no_decision", "NO_DECISION"]];
const SPAN_MIN = 60;

export function overview({ feed }) {
  const live = livePanel();
  const rejects = new LastRejects();
  const panels = [countsPanel(), healthPanel(), alarmsPanel(), trendPanel(), latencyPanel()];
  const [counts, devices, alarms, trend, latency] = panels.map((one) => one.element);
  const show = (state) => panels.forEach((one) => one.show(state));
  const end = listen(feed, {
    state: show,
    live: live.show,
    part: (part) => rejects.take(part),
  });
  if (feed.state) show(feed.state);
  rejects.load();
  const watch = setInterval(live.look, 500);
  const element = h(
    "div",
    { class: "overview" },
    h("h1", { class: "unseen", tabindex: "-1" }, t("overview.title")),
    live.element, counts, alarms, trend, devices, rejects.element, latency,
  );
  const leave = () => {
    end();
    rejects.stop();
    clearInterval(watch);
  };
  return { title: t("overview.title"), element, leave };
}

function livePanel() {
  const view = new FrameView((shown) => t("live.alt", { part: shown.part, result: resultOf(shown) }), OLD_PICTURE_MS);
  const chip = h("span", { class: "chip", id: "live-outcome", hidden: true });
  const caption = h("p", { class: "live-caption", id: "live-caption" }, t("live.none"));
  const element = panel("live", t("live.title"), h("div", { class: "live-stage" }, view.element), caption);
  element.querySelector("h2").append(chip);
  let shownAt = null; // when the event of the picture came: {clock, wallMs}
  const show = (frame) => {
    const cameAt = { clock: performance.now(), wallMs: Date.now() };
    view.show(frame, () => tell(frame, cameAt)); // the words change with the picture, never before it
  };
  const tell = (frame, cameAt) => {
    shownAt = cameAt;
    chip.replaceChildren(outcomeIcon(frame.outcome), outcome(frame.outcome));
    setAttribute(chip, "class", `chip ${outcomeClass(frame.outcome)}`);
    chip.hidden = false;
    setText(caption, `${t("live.part", { part: frame.part })} · ${resultOf(frame)}`);
    element.classList.remove("is-old");
  };
  const look = () => {
    if (shownAt === null || performance.now() - shownAt.clock < OLD_PICTURE_MS) return;
    element.classList.add("is-old");
    setText(caption, t("live.old", { time: format.moment(shownAt.wallMs) }));
  };
  return { element, show, look };
}

function resultOf({ outcome: ended, cause, rule, findings = [] }) {
  if (ended === "NO_DECISION") return meaning("cause", cause);
  if (!findings.length) return t("live.clean");
  const named = findings.map((one) => `${defect(one.cls)} ${format.percent(one.score, 0)}`).join(", ");
  return ended === "REJECT" && rule ? t("live.rule", { rule, findings: named }) : named;
}

function countsPanel() {
  const tiles = COUNTS.map(([key, name]) => {
    const value = h("dd", { class: "count-value", id: `count-${key}` });
    const share = h("dd", { class: "count-share" });
    const label = h("dt", { class: "count-label" }, outcomeIcon(name), outcome(name));
    return { key, value, share, element: h("div", { class: `count ${outcomeClass(name)}` }, label, value, share) };
  });
  const total = h("dd", { class: "count-value", id: "count-triggers" });
  const all = h("div", { class: "count" }, h("dt", { class: "count-label" }, t("counts.triggers")), total);
  const causes = h("ul", { class: "counts-causes", id: "causes" });
  let told = "";
  const element = panel("counts", t("counts.title"), h("dl", { class: "counts" }, all, tiles.map((one) => one.element)), causes);
  const show = ({ counts = {}, causes: by = {} }) => {
    const triggers = counts.triggers ?? 0;
    setText(total, format.count(triggers));
    for (const { key, value, share } of tiles) {
      setText(value, format.count(counts[key] ?? 0));
      setText(share, triggers ? format.percent((counts[key] ?? 0) / triggers) : "");
    }
    const lines = undecided(by);
    if (lines.join() === told) return;
    told = lines.join();
    causes.replaceChildren(...lines.map((line) => h("li", {}, line)));
  };
  return { element, show };
}

/** Return why parts ended without a decision, most frequent first. */
function undecided(causes) {
  const counted = Object.entries(causes).filter(([name, n]) => n && name !== "clean" && name !== "rule");
  counted.sort((a, b) => b[1] - a[1]);
  return counted.slice(0, 2).map(([name, n]) => t("counts.cause", { cause: meaning("cause", name), count: format.count(n) }));
}

function healthPanel() {
  const rows = DEVICES.map((name) => {
    const symbol = h("span", { class: "health-symbol" });
    const text = h("span", { class: "health-text" });
    const element = h("li", { class: "health-row", id: `health-${name}` }, symbol, h("strong", {}, t(`device.${name}`)), text);
    return { name, symbol, text, element, drawn: "" };
  });
  const list = h("ul", { class: "health" }, rows.map((row) => row.element));
  const show = ({ health: devices = {} }) => {
    for (const row of rows) {
      const device = devices[row.name] ?? { ok: null };
      const kind = device.ok === true ? "good" : device.ok === false ? "bad" : "unknown";
      if (kind !== row.drawn) {
        row.symbol.replaceChildren(icon({ good: "check", bad: "cross", unknown: "unknown" }[kind]));
        setAttribute(row.element, "class", `health-row is-${kind}`);
        row.drawn = kind;
      }
      const { text, lang } = health(device);
      setText(row.text, text);
      setAttribute(row.text, "lang", lang);
    }
  };
  return { element: panel("health", t("health.title"), list), show };
}

function alarmsPanel() {
  const list = new AlarmList({ tabindex: "0", "aria-labelledby": "alarms-title" });
  const element = panel("alarms", t("alarms.standing"), list.element);
  const show = ({ alarms = [] }) => {
    element.classList.toggle("has-alarms", alarms.length > 0);
    list.show(alarms);
  };
  return { element, show };
}

function trendPanel() {
  const chart = new TrendChart();
  const rate = h("strong", { id: "reject-rate" });
  const head = h("p", { class: "chart-head" }, rate, " ", t("trend.of_last"));
  const words = {
    percent: (share) => format.percent(share),
    oldest: t("trend.oldest"),
    newest: t("trend.newest"),
  };
  const show = ({ reject_rate: share, trend = [], now_ms: now }) => {
    const isKnown = typeof share === "number";
    setText(rate, isKnown ? format.percent(share) : t("word.none"));
    const rates = trend.map((one) => (one.parts ? one.rejects / one.parts : null));
    const highest = Math.max(0, ...rates.filter((one) => one !== null));
    const label = t("trend.label", { now: isKnown ? format.percent(share) : t("word.none"), highest: format.percent(highest) });
    const end = Math.max(now ?? 0, trend.at(-1)?.t ?? 0);
    const at = (ms) => Math.max(0, 1 - (end - ms) / (SPAN_MIN * 60_000));
    chart.update({ points: trend.map((one, i) => [at(one.t), rates[i]]), words }, label);
  };
  return { element: panel("trend", t("trend.title"), head, chart.element), show };
}

function latencyPanel() {
  const chart = new LatencyChart();
  const typical = h("strong", { id: "latency-typical" });
  const rest = h("span", { id: "latency-rest" });
  const head = h("p", { class: "chart-head" }, typical, " ", rest);
  const show = ({ latency = {} }) => {
    const { deadline_ms: deadline = 0, p50, p99, points = [], unanswered = 0 } = latency;
    const isKnown = typeof p50 === "number" && typeof p99 === "number";
    const values = isKnown ? { p50: format.ms(p50), p99: format.ms(p99), deadline: format.ms(deadline, 0) } : {};
    setText(typical, isKnown ? format.ms(p50) : t("word.none"));
    const without = unanswered ? plural("latency.unanswered", unanswered) : "";
    setText(rest, [isKnown ? t("latency.head", values) : t("latency.none"), without].filter(Boolean).join("; "));
    const words = {
      number: (value) => format.ms(value, 0),
      deadline: t("latency.deadline", { value: format.ms(deadline, 0) }),
      oldest: plural("latency.oldest", points.length),
      newest: t("latency.newest"),
    };
    const late = points.filter(([, value]) => value > deadline).length;
    const label = isKnown ? plural("latency.label", late, values) : t("latency.none");
    chart.update({ points, deadline, words }, label);
  };
  return { element: panel("latency", t("latency.title"), head, chart.element), show };
}

// One part: its picture, what was decided and why, all its times by stage, and what people say of the decision.

import { get, me, post } from "../api.js";
import { h, setAttribute, svg } from "../dom.js";
import * as format from "../format.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { failure, loginNeeded, outcomeChip, outcomeLine, page, panel, table } from "../panel.js";
import { FrameView } from "../picture.js";
import { defect, meaning } from "../words.js";
import { around } from "./gallery.js";

const INSTANTS = ["T0", "T1", "T2", "T3", "T4", "T5", "T6"];

export function part({ navigate }, session, number) {
  const path = location.pathname + location.search;
  const near = new URLSearchParams(location.search).get("near");
  const body = h("div", { class: "part" }, h("p", { class: "line", role: "status" }, t("gallery.loading")));
  const title = t("part.title", { part: number });
  const element = page(title, neighbours(path), body);
  const draw = async () => {
    try {
      const record = await get(`/api/part/${session}/${number}`, { near });
      body.replaceChildren(...contents(record, draw));
      for (const link of body.querySelectorAll("[data-login]")) link.href = `/login?next=${encodeURIComponent(path)}`;
    } catch (error) {
      body.replaceChildren(h("p", { class: "line is-bad", role: "alert" }, failure(error)));
    }
  };
  draw();
  const turn = (event) => {
    if (event.target.closest("input, textarea, select, .table") || event.ctrlKey || event.altKey || event.metaKey) return;
    const { before, after } = around(path);
    const next = { ArrowLeft: before, ArrowRight: after }[event.key];
    if (next) navigate(next);
  };
  addEventListener("keydown", turn);
  return { title, element, leave: () => removeEventListener("keydown", turn) };
}

function neighbours(path) {
  const { back, before, after } = around(path);
  const to = (href, text, name) => {
    if (!href) return null;
    const shown = name === "back" ? [icon(name), text] : [text, icon(name)];
    return h("a", { class: "button", href }, shown);
  };
  return h(
    "nav",
    { class: "pager", "aria-label": t("part.pages") },
    h("a", { class: "button", href: back }, t("part.back")),
    to(before, t("part.newer"), "back"),
    to(after, t("part.older"), "next"),
  );
}

function contents(record, draw) {
  const left = h("div", { class: "stack" }, pictured(record), marks(record, draw));
  const right = h("div", { class: "stack" }, decided(record), times(record), decider(record));
  return [left, right];
}

function pictured({ picture, findings }) {
  if (!picture) return panel("picture", t("part.picture"), h("p", { class: "empty" }, t("part.no_picture")));
  const named = findings.map(({ cls, score }) => `${defect(cls)} ${format.percent(score, 0)}`).join(", ");
  const view = new FrameView(() => t("part.alt", { findings: named || t("live.clean") }));
  view.show({ ...picture, findings });
  const flip = h("button", { class: "button is-small", type: "button", "aria-pressed": "true" }, t("part.findings"));
  flip.addEventListener("click", () => {
    const isShown = flip.getAttribute("aria-pressed") === "true";
    setAttribute(flip, "aria-pressed", String(!isShown));
    view.element.classList.toggle("is-bare", isShown);
  });
  const kept = h("span", { class: "note" }, t(`reason_kept.${picture.reason}`));
  return panel("picture", t("part.picture"), view.element, h("div", { class: "row" }, findings.length ? flip : null, kept));
}

function decided(record) {
  const { outcome: ended, cause, rule, disposition, end, gate, sensor, findings } = record;
  const facts = [
    [t("part.outcome"), outcomeChip(ended)],
    [t("part.cause"), cause ? meaning("cause", cause) : ""],
    [t("part.rule"), rule],
    [t("part.disposition"), disposition && meaning("disposition", disposition)],
    [t("part.end"), end && meaning("end", end)],
    [t("part.gate"), gate && meaning("gate", gate)],
    [t("part.sensor"), sensor && meaning("sensor", sensor)],
    [t("part.when"), format.dateTime(record.wall_ms)],
  ];
  const found = findings.length ? findingsTable(findings) : h("p", { class: "empty" }, t("live.clean"));
  return panel("decision", t("part.decision"), factList(facts), h("h3", {}, t("part.found")), found);
}

function factList(facts) {
  const rows = facts.filter(([, value]) => value);
  return h("dl", { class: "facts" }, rows.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

function findingsTable(findings) {
  const rows = findings.map(({ cls, score, box: [x1, y1, x2, y2] }) => [
    defect(cls),
    { number: format.percent(score, 0) },
    { number: format.size([x2 - x1, y2 - y1]) },
    { number: t("unit.at_px", { x: format.count(Math.round(x1)), y: format.count(Math.round(y1)) }) },
  ]);
  const headings = [t("part.class"), t("part.score"), t("part.size"), t("part.place")];
  return table(t("part.found"), headings, rows);
}

function times({ times: at, deadline_ms: deadline }) {
  const known = INSTANTS.filter((name) => typeof at[name] === "number");
  const rows = INSTANTS.map((name, index) => {
    const isKnown = known.includes(name);
    const before = INSTANTS.slice(0, index).findLast((one) => known.includes(one));
    const step = isKnown && before ? format.ms(at[name] - at[before], 2) : "";
    const told = isKnown ? format.ms(at[name], 2) : t("word.none");
    return [h("span", {}, h("abbr", {}, name), " ", t(`instant.${name}`)), { number: told }, { number: step }];
  });
  const headings = [t("part.instant"), t("part.after_t0"), t("part.step")];
  const told = deadline ? h("p", { class: "note" }, t("part.deadline", { value: format.ms(deadline, 0) })) : null;
  return panel("times", t("part.times"), stages(at, known, deadline), table(t("part.times"), headings, rows), told);
}

/** Draw the stages from T0 to T4 on one scale with the deadline; T5 and T6 lie far behind, at the gate. */
function stages(at, known, deadline) {
  const shown = known.filter((name) => name <= "T4");
  const end = Math.max(deadline || 0, ...shown.map((name) => at[name])) * 1.04 || 1;
  const x = (ms) => (1000 * ms) / end;
  const bars = shown.slice(1).map((name, index) => {
    const begun = at[shown[index]];
    const width = Math.max(3, x(at[name] - begun));
    return svg("rect", { class: `stage stage-${name}`, x: x(begun), y: 4, width, height: 30 });
  });
  const limit = deadline ? svg("line", { class: "chart-limit", x1: x(deadline), x2: x(deadline), y1: 0, y2: 38 }) : null;
  const label = t("part.stages", { list: shown.slice(1).map((name) => `${name} ${format.ms(at[name], 1)}`).join(", ") });
  const about = { class: "stages", viewBox: "0 0 1000 38", preserveAspectRatio: "none", role: "img" };
  const drawing = svg("svg", { ...about, "aria-label": label }, bars, limit);
  const keys = shown.slice(1).map((name) => h("li", {}, h("span", { class: `swatch stage-${name}` }), t(`stage.${name}`)));
  return h("div", {}, drawing, h("ul", { class: "legend" }, keys));
}

function marks({ session, part: number, wall_ms: near, marks: given }, draw) {
  const line = outcomeLine();
  const current = given[0]?.verdict;
  const note = h("textarea", { id: "mark-note", rows: 2, maxlength: 500 });
  const give = async (verdict) => {
    try {
      await post("/api/mark", { session, part: number, near, verdict, note: note.value });
      await draw();
      document.getElementById(`mark-${verdict}`)?.focus();
    } catch (error) {
      line.replaceChildren(failure(error));
    }
  };
  const button = (verdict) => {
    const isGiven = current === verdict;
    const about = { class: `button is-${verdict}`, id: `mark-${verdict}`, type: "button", "aria-pressed": String(isGiven) };
    const click = () => give(isGiven ? "none" : verdict);
    return h("button", { ...about, on: { click } }, icon(verdict === "right" ? "check" : "cross"), t(`mark.${verdict}`));
  };
  const buttons = h("div", { class: "row" }, button("right"), button("wrong"));
  const form = h("div", { class: "mark-form" }, h("label", { for: "mark-note" }, t("mark.note")), note, buttons, line);
  const history = given.map(({ verdict, who, wall_ms: at, note: said }) => {
    const by = t("mark.by", { who, time: format.dateTime(at) });
    return h("li", {}, h("strong", {}, t(`mark.${verdict}`)), " ", by, said ? h("q", {}, said) : null);
  });
  const told = history.length ? h("ul", { class: "mark-list" }, history) : h("p", { class: "empty" }, t("mark.nobody"));
  return panel("marks", t("mark.title"), me.user && me.actions ? form : loginNeeded(t("mark.login"), me.actions), told);
}

function decider({ identity = {}, station, session }) {
  const facts = ["recipe", "model", "engine", "precision", "version"].map((name) => [t(`identity.${name}`), identity[name]]);
  const where = [[t("identity.station"), station], [t("identity.session"), String(session)]];
  return panel("identity", t("part.decider"), factList([...facts, ...where]));
}

// Challenge parts: known pieces must meet their end, at the gate too.  The station leads the procedure; this page shows
// how far it is, what somebody has to do now, and what earlier ones came to.

import { get, me, post } from "../api.js";
import { h, setText } from "../dom.js";
import { listen } from "../feed.js";
import * as format from "../format.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { failure, loginNeeded, outcomeLine, own, page, panel, partPath, table } from "../panel.js";
import { meaning, outcome } from "../words.js";

const PHASES = ["clearing", "placing", "confirming", "returning"];

export function challenge({ feed }) {
  const told = h("div", { class: "stack" });
  const todo = h("div", { id: "challenge-todo" }); // drawn apart: what somebody has ticked stays while the rest changes
  const pieces = h("div", { id: "challenge-pieces" });
  const now = h("div", { class: "stack", id: "challenge-now" }, panel("now", t("challenge.now"), told, todo), pieces);
  const missing = new Set(); // names of pieces that were not found again
  const history = h("div", { id: "challenge-runs" }, h("p", { class: "line" }, t("gallery.loading")));
  const line = outcomeLine();
  let drawn = "";
  let offered = "";
  const load = async () => {
    try {
      history.replaceChildren(past((await get("/api/challenge")).runs ?? []));
    } catch (error) {
      history.replaceChildren(h("p", { class: "line" }, failure(error)));
    }
  };
  const show = ({ challenge: present }) => {
    const { hours_left: _, ...seen } = present ?? {};
    if (JSON.stringify(seen) === drawn) return;
    drawn = JSON.stringify(seen);
    told.replaceChildren(...status(seen));
    pieces.replaceChildren(...(seen.configured && seen.pieces?.length ? [pieceTable(seen.pieces)] : []));
    offer(seen);
    load();
  };
  const offer = (seen) => {
    if (seen.configured && seen.phase !== "returning") missing.clear();
    const wanted = JSON.stringify([seen.configured, seen.phase, (seen.pieces ?? []).map(({ name }) => name)]);
    if (wanted === offered) return;
    offered = wanted;
    todo.replaceChildren(...actions(seen, missing, act));
  };
  const act = async (action, more = {}) => {
    try {
      await post("/api/challenge", { action, ...more });
      setText(line, t(`challenge.sent.${action}`));
    } catch (error) {
      line.replaceChildren(failure(error));
    }
  };
  const end = listen(feed, { state: show });
  if (feed.state) show(feed.state);
  else load();
  const intro = h("p", { class: "intro" }, t("challenge.intro"));
  const login = loginNeeded(t("challenge.login"), me.challenge);
  const record = panel("runs", t("challenge.history"), history);
  const element = page(t("challenge.title"), intro, login, now, line, record);
  return { title: t("challenge.title"), element, leave: end };
}

function status(present) {
  if (!present.configured) return [h("p", { class: "empty" }, t("challenge.off"))];
  if (present.phase) return running(present);
  const due = Object.keys(present.due ?? {}).map((reason) => meaning("challenge_due", reason));
  const { last, problem } = present;
  return [
    last?.result === "escaped" ? h("p", { class: "notice is-bad" }, icon("FAULT"), t("challenge.hold")) : null,
    due.length
      ? h("p", { class: "notice is-warning" }, icon("WARNING"), t("challenge.due", { reasons: due.join(", ") }))
      : h("p", { class: "notice is-good" }, icon("check"), t("challenge.not_due")),
    last ? h("p", {}, lastOne(last)) : null,
    problem ? h("p", { class: "notice is-bad" }, icon("cross"), own(problem)) : null,
  ].filter(Boolean);
}

function lastOne({ result, wall_ms: at, operator }) {
  return t("challenge.last", { result: t(`challenge_result.${result}`), time: format.dateTime(at), who: operator });
}

function running({ phase, text, operator, since_wall_ms: since }) {
  const steps = PHASES.map((name) => h("li", { "aria-current": name === phase ? "step" : null }, t(`challenge_phase.${name}`)));
  return [
    h("ol", { class: "steps" }, steps),
    h("p", { class: "task", role: "status" }, t(`challenge_task.${phase}`)),
    text ? h("p", { class: "note" }, own(text)) : null,
    h("p", { class: "note" }, t("challenge.by", { who: operator, time: format.moment(since) })),
  ].filter(Boolean);
}

/** Return what can be done now; `missing` holds the names that are ticked. */
function actions({ configured, phase, pieces = [] }, missing, act) {
  if (!configured || !me.user || !me.challenge) return [];
  const button = (action, main, more) => {
    const about = { class: `button ${main ? "is-main" : ""}`, type: "button", id: `challenge-${action}` };
    return h("button", { ...about, on: { click: () => act(action, more?.()) } }, t(`challenge.${action}`));
  };
  if (!phase) return [h("div", { class: "row" }, button("start", true))];
  if (phase !== "returning") return [h("div", { class: "row" }, button("abort", false))];
  const names = pieces.map(({ name }) => name);
  const returned = button("returned", true, () => ({ missing: names.filter((name) => missing.has(name)).join() }));
  // The button says what is put on record.
  const label = () => setText(returned, t(missing.size ? "challenge.returned_others" : "challenge.returned"));
  const choices = names.map((name) => choice(name, missing, label));
  const group = h("fieldset", { class: "choices" }, h("legend", {}, t("challenge.missing")), choices);
  label();
  return [group, h("div", { class: "row" }, returned)];
}

function choice(name, missing, changed) {
  const box = h("input", { type: "checkbox", id: `missing-${name}`, checked: missing.has(name) });
  box.addEventListener("change", () => {
    if (box.checked) missing.add(name);
    else missing.delete(name);
    changed();
  });
  return h("label", { class: "choice" }, box, name);
}

function pieceTable(pieces) {
  const headings = ["piece", "expect", "part", "inspection", "gate", "result"].map((name) => t(`challenge.${name}`));
  const rows = pieces.map((piece) => [
    piece.name,
    t(`challenge_expect.${piece.expect}`),
    piece.part === null || piece.part === undefined ? t("word.none") : h("a", { href: partPath(piece) }, String(piece.part)),
    piece.outcome ? outcome(piece.outcome) : t("word.none"),
    piece.gate ? meaning("gate", piece.gate) : t("word.none"),
    verdict(piece),
  ]);
  return panel("pieces", t("challenge.pieces"), table(t("challenge.pieces"), headings, rows));
}

function verdict({ ok, faults = [] }) {
  if (ok === true) return h("span", { class: "chip is-pass" }, icon("check"), t("challenge.ok"));
  if (ok === false) return h("span", {}, h("span", { class: "chip is-reject" }, icon("cross"), t("challenge.not_ok")), " ", own(faults.join(" ")));
  return t("challenge.open");
}

function past(runs) {
  if (!runs.length) return h("p", { class: "empty" }, t("challenge.no_runs"));
  const headings = ["when", "result", "right", "operator", "record", "faults"].map((name) => t(`challenge.${name}`));
  const rows = runs.map(({ wall_ms: at, result, pieces, pieces_ok: ok, operator, number, faults = [] }) => [
    format.dateTime(at),
    resultChip(result),
    t("challenge.of", { ok, all: pieces }),
    operator,
    { number: String(number) },
    own(faults.join(" ")),
  ]);
  return table(t("challenge.history"), headings, rows);
}

function resultChip(result) {
  const isGood = result === "passed";
  const isBad = result === "failed" || result === "escaped";
  const kind = isGood ? "is-pass" : isBad ? "is-reject" : "is-no-decision";
  return h("span", { class: `chip ${kind}` }, icon(isGood ? "check" : isBad ? "cross" : "unknown"), t(`challenge_result.${result}`));
}

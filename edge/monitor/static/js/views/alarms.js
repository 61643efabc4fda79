// Alarms: those that stand, which can be acknowledged, and those that were.

import { AlarmList } from "../alarmlist.js";
import { get, me, post } from "../api.js";
import { h, setText } from "../dom.js";
import { listen } from "../feed.js";
import * as format from "../format.js";
import { plural, t } from "../i18n.js";
import { failure, loginNeeded, outcomeLine, page, panel, table } from "../panel.js";
import { alarm, meaning } from "../words.js";

const LIMIT = 100;
const SETTLED_MS = 5000; // until what has just changed is on record

export function alarms({ feed }) {
  const line = outcomeLine();
  const acknowledge = (one, titleId) => (me.user && me.actions ? acknowledgement(one, titleId, line) : null);
  const list = new AlarmList({ class: "alarm-list is-large" }, acknowledge);
  const history = h("div", { id: "alarm-history" }, h("p", { class: "line" }, t("gallery.loading")));
  const load = async () => {
    try {
      const { alarms: found, more } = await get("/api/alarms", { limit: LIMIT });
      const note = more ? h("p", { class: "note" }, plural("alarms.newest", LIMIT)) : "";
      history.replaceChildren(past(found, feed.state?.alarms ?? []), note);
    } catch (error) {
      history.replaceChildren(h("p", { class: "line" }, failure(error)));
    }
  };
  let timer = null;
  const show = (state) => {
    if (!list.show(state.alarms ?? [])) return;
    load();
    clearTimeout(timer);
    timer = setTimeout(load, SETTLED_MS);
  };
  const end = listen(feed, { state: show });
  if (feed.state) list.show(feed.state.alarms ?? []);
  load();
  const standing = panel("alarms", t("alarms.standing"), loginNeeded(t("alarms.login"), me.actions), list.element, line);
  const element = page(t("alarms.title"), standing, panel("history", t("alarms.history"), history));
  const leave = () => {
    end();
    clearTimeout(timer);
  };
  return { title: t("alarms.title"), element, leave };
}

function acknowledgement({ source, name }, titleId, line) {
  const note = h("input", { id: `note-${source}-${name}`, "aria-describedby": titleId, maxlength: 500, autocomplete: "off" });
  const send = async (event) => {
    event.preventDefault();
    const title = document.getElementById(titleId).textContent;
    try {
      await post("/api/acknowledge", { source, alarm: name, note: note.value });
      setText(line, t("alarms.done", { alarm: title }));
    } catch (error) {
      line.replaceChildren(failure(error));
    }
  };
  const button = h("button", { class: "button is-main", "aria-describedby": titleId }, t("alarms.acknowledge"));
  return h("form", { class: "alarm-form", on: { submit: send } }, h("label", { for: note.id }, t("alarms.note")), note, button);
}

function past(each, standing) {
  if (!each.length) return h("p", { class: "empty" }, t("alarms.no_history"));
  const headings = ["raised", "lasted", "alarm", "source", "by"].map((name) => t(`alarms.${name}`));
  const open = new Set(standing.map(({ source, name }) => `${source}/${name}`));
  const rows = each.map((one) => [
    format.dateTime(one.raised_ms),
    lasted(one, open),
    alarm(one).title,
    meaning("source", one.source),
    one.acknowledged_by ? [one.acknowledged_by, one.note].filter(Boolean).join(": ") : "",
  ]);
  return table(t("alarms.history"), headings, rows);
}

/** Say how long an alarm lasted.  Of those without an end the newest may stand; the end of others was not recorded. */
function lasted({ source, name, raised_ms: raised, cleared_ms: cleared }, open) {
  if (cleared) return format.lasting(cleared - raised);
  return t(open.delete(`${source}/${name}`) ? "alarms.stands" : "alarms.end_unknown");
}

// What the line's own words mean to a person, in the present language.

import { has, inEnglish, language, t } from "./i18n.js";

/** The page's own state, beside the line's four: the monitor does not answer. */
export const SILENT = "SILENT";

export function outcome(name) {
  return name && has(`outcome.${name}`) ? t(`outcome.${name}`) : name || t("word.none");
}

export function outcomeClass(name) {
  return `is-${name.toLowerCase().replace("_", "-")}`;
}

/** Return what a word of the tables (cause, disposition, mode, ...) means; an unknown one as it came. */
export function meaning(table, name) {
  const key = `${table}.${name}`;
  return has(key) ? t(key) : name;
}

/** Return a defect's class for people; classes are the model's, so most have no text here. */
export function defect(name) {
  return has(`class.${name}`) ? t(`class.${name}`) : name.replaceAll("_", " ");
}

/** Return why a part ended as it did, in a few words. */
export function why({ outcome: ended, cause, rule, cls }) {
  if (ended === "REJECT" && cls) return defect(cls);
  if (ended === "REJECT" && rule) return rule;
  return cause ? meaning("cause", cause) : outcome(ended);
}

/**
 * Return an alarm as {title, detail, remedy, lang}.  `detail` is the line's own, English; so are title and remedy where
 * `lang` says so.
 */
export function alarm({ name, text, remedy }) {
  if (!has(`alarm.${name}.text`)) return { title: sentence(text), detail: "", remedy: remedy ?? "", lang: "en" };
  const base = inEnglish(`alarm.${name}.text`);
  const isBase = text.startsWith(base);
  const detail = isBase ? text.slice(base.length).trim() : text;
  const translated = { title: t(`alarm.${name}.text`), detail, remedy: t(`alarm.${name}.remedy`) };
  // In English the station's own sentence says more than the catalogue's.
  return language === "en" && !isBase && detail ? { ...translated, title: sentence(detail), detail: "" } : translated;
}

/** Return why the line is as it is, as {title, detail, remedy, lang}, see `alarm`. */
export function reason(state) {
  const { reason_key: key = "", reason: text = "", reason_detail: detail = "", remedy: todo = "", alarms = [] } = state;
  if (!key && !text) return { title: t("reason.running") };
  const known = ofChallenge(state);
  if (known) return known;
  if (has(`reason.${key}`)) {
    const remedy = has(`reason.${key}.remedy`) ? t(`reason.${key}.remedy`) : "";
    return { title: t(`reason.${key}`), detail: sentence(detail), remedy };
  }
  const name = key.replace(/^alarm\./, "");
  const standing = alarms.find((one) => one.name === name);
  return { ...alarm(standing ?? { name, text, remedy: todo }), detail: "" }; // the list of alarms has the details
}

/** Return what a challenge makes the first thing to know: that a bad piece went through, or what to do now; or null. */
function ofChallenge({ state: word, reason_key: key, challenge = {}, alarms = [] }) {
  const failed = alarms.some((one) => one.name === "challenge_failed");
  if (failed && challenge.last?.result === "escaped" && (word === "WARNING" || key === "alarm.challenge_failed")) {
    return { title: t("challenge.hold"), remedy: t("alarm.challenge_failed.remedy") };
  }
  const leads = challenge.phase && word === "WARNING" && !(key ?? "").startsWith("alarm.");
  return leads ? { title: t(`challenge_task.${challenge.phase}`), remedy: t("challenge.title") } : null;
}

/** Return a device's health in words, as {text, lang}: with `lang`, they are the line's own. */
export function health({ ok, key = "", text = "" }) {
  const known = [`${key}.text`, `health.${key}`, key].find(has);
  if (known) return { text: t(known) };
  if (text) return { text: sentence(text), lang: "en" };
  return { text: t(ok === true ? "health.good" : ok === false ? "health.bad" : "health.unknown") };
}

function sentence(text) {
  const trimmed = (text ?? "").trim();
  if (!trimmed) return "";
  const start = trimmed[0].toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(start) ? start : `${start}.`;
}

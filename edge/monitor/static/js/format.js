// Numbers and times as the present language writes them, in the plant's time zone.

import { language, t } from "./i18n.js";

let zone;

/** Show times in the time zone with this name; the browser's own where it knows none such. */
export function useZone(name) {
  zone = undefined;
  try {
    if (name) zone = new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone;
  } catch (error) {
    console.warn(`Time zone ${name} is not known here: ${error.message}`);
  }
}

export function count(value) {
  return value.toLocaleString(language);
}

export function decimal(value, digits = 2) {
  return value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** `share` 0..1.  What is not nothing is not shown as nothing. */
export function percent(share, digits = share === 0 || share === 1 ? 0 : 1) {
  const least = 0.5 / 10 ** (digits + 2);
  const isTiny = share > 0 && share < least;
  const value = decimal(isTiny ? 200 * least : 100 * share, digits);
  return t(isTiny ? "unit.percent_below" : "unit.percent", { value });
}

export function ms(value, digits = value < 99.95 ? 1 : 0) {
  return t("unit.ms", { value: decimal(value, digits) });
}

export function size([width, height]) {
  return t("unit.size_px", { width: count(Math.round(width)), height: count(Math.round(height)) });
}

const DAY = { year: "numeric", month: "2-digit", day: "2-digit" };
const TIME = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };

export function time(wallMs) {
  return show(wallMs, TIME);
}

export function minute(wallMs) {
  return show(wallMs, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
}

export function dateTime(wallMs) {
  return show(wallMs, { ...DAY, ...TIME });
}

/** Return the time, with its day where that is not today. */
export function moment(wallMs) {
  return isoDay(wallMs) === isoDay(Date.now()) ? time(wallMs) : dateTime(wallMs);
}

function show(wallMs, form) {
  // ISO order for English: 06/07 is June or July, depending on who reads it.
  return new Intl.DateTimeFormat(language === "en" ? "en-CA" : language, { ...form, timeZone: zone }).format(wallMs);
}

/** Return the day as YYYY-MM-DD in the plant's time zone. */
export function isoDay(wallMs) {
  return new Intl.DateTimeFormat("en-CA", { ...DAY, timeZone: zone }).format(wallMs);
}

/** Return how long something has lasted, in its largest unit. */
export function lasting(durationMs) {
  const seconds = Math.max(0, Math.round(durationMs / 1000));
  if (seconds < 100) return t("unit.s", { value: seconds });
  const minutes = Math.floor(seconds / 60);
  if (minutes < 100) return t("unit.min", { value: minutes });
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? t("unit.h", { value: hours }) : t("unit.d", { value: Math.floor(hours / 24) });
}

/** Say whether `text` is a day as YYYY-MM-DD. */
export function isDay(text) {
  return /^\d{4}-\d\d-\d\d$/.test(text ?? "") && !Number.isNaN(Date.parse(`${text}T12:00Z`));
}

/** Read a `datetime-local` value as a time of the plant's zone; null where it is none. */
export function readLocal(text) {
  const asUtc = Date.parse(`${text}Z`);
  if (Number.isNaN(asUtc)) return null;
  const offset = offsetMs(asUtc);
  // Once more with the offset of the result: at a change to or from summer time the first guess is an hour off.
  return asUtc - offsetMs(asUtc - offset);
}

/** Return a time as a `datetime-local` value of the plant's zone. */
export function toLocal(wallMs) {
  return new Date(wallMs + offsetMs(wallMs)).toISOString().slice(0, 16);
}

function offsetMs(wallMs) {
  const form = { ...DAY, ...TIME, timeZone: zone };
  const of = Object.fromEntries(new Intl.DateTimeFormat("en", form).formatToParts(wallMs).map((p) => [p.type, p.value]));
  const local = Date.UTC(of.year, of.month - 1, of.day, of.hour, of.minute, of.second);
  return local - Math.floor(wallMs / 1000) * 1000;
}

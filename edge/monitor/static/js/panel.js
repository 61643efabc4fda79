// A titled box of a page, and what several pages say alike.

import { me } from "./api.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";
import { outcomeIcon } from "./icons.js";
import { outcome, outcomeClass } from "./words.js";

/** Return a section that its heading names. */
export function panel(name, title, ...children) {
  const heading = h("h2", { id: `${name}-title` }, title);
  return h("section", { class: `panel panel-${name}`, "aria-labelledby": heading.id }, heading, children);
}

/** Return a page's frame: its heading, and what follows. */
export function page(title, ...children) {
  return h("div", { class: "page" }, h("h1", { tabindex: "-1" }, title), children);
}

export function outcomeChip(name) {
  return h("span", { class: `chip ${outcomeClass(name)}` }, outcomeIcon(name), outcome(name));
}

/** Return what station or monitor say in their own words: English, whatever the page's language is. */
export function own(text, className = null) {
  return h("span", { class: className, lang: "en" }, text);
}

/** Return the address of a part's page.  Parts without a session have numbers that come again: the time tells which. */
export function partPath({ session, part, wall_ms: wallMs }) {
  return `/part/${session}/${part}${wallMs ? `?near=${wallMs}` : ""}`;
}

/** Return a label above its control. */
export function field(label, control, className = "") {
  return h("label", { class: `field ${className}` }, h("span", {}, label), control);
}

/** Return a table that scrolls by itself where it is wider than the screen; `rows` are lists of cells. */
export function table(caption, headings, rows) {
  const head = h("tr", {}, headings.map((text) => h("th", { scope: "col" }, text)));
  const body = rows.map((cells) => h("tr", {}, cells.map(cell)));
  const drawn = h("table", {}, h("caption", { class: "unseen" }, caption), h("thead", {}, head), h("tbody", {}, body));
  return h("div", { class: "table", role: "group", tabindex: "0", "aria-label": caption }, drawn);
}

function cell(content, index) {
  const isNumber = typeof content === "object" && content !== null && "number" in content;
  const shown = isNumber ? content.number : content;
  return index === 0 ? h("th", { scope: "row" }, shown) : h("td", { class: isNumber ? "is-number" : null }, shown);
}

/** Return what went wrong with a request, in words, or as an element where they are the line's own. */
export function failure(error) {
  const known = {
    silent: "error.silent", login: "error.login", csrf: "error.csrf", wrong: "error.wrong", busy: "error.busy",
    unreadable: "error.unreadable", not_recorded: "error.not_recorded", gone: "error.gone",
    control: "error.control", unwritten: "error.unwritten",
  };
  if (error.code === "wait") return t("error.wait", { seconds: error.retryS });
  if (known[error.code]) return t(known[error.code]);
  if (error.code === "refused" && error.text) return own(error.text); // by the station, whose words tell why
  return error.status === 404 ? t("error.missing") : t("error.other", { status: error.status ?? "" });
}

/** Return a line that says what happened; screen readers are told once it does. */
export function outcomeLine() {
  return h("p", { class: "line", role: "status" });
}

/** Return a link to the login that leads back here; null where that gives nobody more, as `offered` says. */
export function loginNeeded(text, offered) {
  if (me.user || !me.login || !offered) return null;
  return h("p", { class: "login-needed" }, h("a", { href: "/login", "data-login": true }, text));
}

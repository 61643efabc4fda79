// What every page has: the head with its links, and the band that says how the line is.

import { logOut, me } from "./api.js";
import { h, setAttribute, setText } from "./dom.js";
import * as format from "./format.js";
import { available, choose, language, t } from "./i18n.js";
import { icon } from "./icons.js";
import { SILENT, reason } from "./words.js";

const PAGES = { overview: "/", gallery: "/gallery", shifts: "/shifts", alarms: "/alarms", challenge: "/challenge" };
const THEMES = ["auto", "light", "dark"];

/** The head.  `again` renders the page anew, after another language or user. */
export function head(again) {
  const name = h("span", { class: "top-station", id: "station-name" });
  const brand = h("a", { class: "brand", href: "/" }, mark(), h("span", { class: "brand-name" }, t("app.name")), name);
  const links = Object.entries(PAGES).map(([page, href]) =>
    h("li", {}, h("a", { class: "nav-link", href, "data-page": page }, icon(page), h("span", {}, t(`nav.${page}`)), badge(page))),
  );
  const nav = h("nav", { class: "nav", "aria-label": t("nav.label") }, h("ul", {}, links));
  const tools = h("div", { class: "tools" }, [languages(again), theme(), user(again)]);
  return [brand, nav, tools];
}

function mark() {
  return h("img", { class: "brand-mark", src: "/static/favicon.svg", alt: "", width: 32, height: 32 });
}

function badge(page) {
  return page === "alarms" ? h("span", { class: "badge", id: "alarm-count", hidden: true }) : null;
}

function languages(again) {
  const options = Object.entries(available()).map(([code, own]) =>
    h("option", { value: code, lang: code, selected: code === language }, own),
  );
  const change = async (event) => {
    await choose(event.target.value);
    again("language");
  };
  return h("select", { class: "tool", id: "language", "aria-label": t("tools.language"), on: { change } }, options);
}

function theme() {
  const button = h("button", { class: "tool tool-icon", type: "button", id: "theme" });
  const show = (chosen) => {
    button.replaceChildren(icon(chosen));
    setAttribute(button, "aria-label", t("tools.theme", { theme: t(`theme.${chosen}`) }));
    setAttribute(button, "title", t("tools.theme", { theme: t(`theme.${chosen}`) }));
  };
  button.addEventListener("click", () => {
    const chosen = THEMES[(THEMES.indexOf(keptTheme()) + 1) % THEMES.length];
    if (chosen === "auto") localStorage.removeItem("edge.theme");
    else localStorage.setItem("edge.theme", chosen);
    setAttribute(document.documentElement, "data-theme", chosen === "auto" ? null : chosen);
    show(chosen);
  });
  show(keptTheme());
  return button;
}

function keptTheme() {
  const kept = localStorage.getItem("edge.theme");
  return THEMES.includes(kept) ? kept : "auto";
}

function user(again) {
  if (!me.user && !me.login) return null;
  if (!me.user) return h("a", { class: "tool", href: "/login", "data-login": true }, icon("user"), h("span", {}, t("nav.login")));
  const leave = async () => {
    await logOut();
    again("main");
  };
  const label = t("tools.logout", { user: me.user });
  const shown = [icon("user"), h("span", {}, me.user)];
  return h("button", { class: "tool", type: "button", id: "logout", title: label, "aria-label": label, on: { click: leave } }, shown);
}

/** Mark the present page's link, and give links to the login a way back. */
export function showPage(page, url) {
  for (const link of document.querySelectorAll("[data-page]")) {
    setAttribute(link, "aria-current", link.dataset.page === page ? "page" : null);
  }
  for (const link of document.querySelectorAll("[data-login]")) link.href = `/login?next=${encodeURIComponent(url)}`;
}

/** The band: how the line is, for somebody three metres away. */
export class Band {
  constructor(section) {
    this.section = section;
    this.symbol = h("div", { class: "band-symbol" });
    this.word = h("p", { class: "band-word", id: "band-word" });
    this.title = h("p", { class: "band-reason", id: "band-reason" });
    this.remedy = h("span", { id: "band-remedy" });
    this.detail = h("span", { id: "band-detail", lang: "en" });
    this.since = h("span", { class: "band-since" });
    this.rate = figure("band-rate", t("band.rate"));
    this.speed = figure("band-speed", t("band.speed"));
    setAttribute(section, "aria-label", t("band.label"));
    const texts = h("div", { class: "band-texts" }, this.title, h("p", { class: "band-more" }, this.detail, " ", this.remedy, " ", this.since));
    const figures = h("dl", { class: "band-figures" }, this.rate.element, this.speed.element);
    section.replaceChildren(this.symbol, this.word, texts, figures);
    this.drawn = "";
  }

  /** Show the line's state, or that nothing comes from the monitor since `heardAt`; `answers`: to other requests it does. */
  show(state, { silent, heardAt, answers }) {
    const word = silent ? SILENT : (state?.state ?? "WAITING");
    if (word !== this.drawn) {
      this.symbol.replaceChildren(icon(word));
      setAttribute(this.section, "data-state", word);
      this.drawn = word;
    }
    setText(this.word, t(`state.${word}`));
    const told = silent ? lost(heardAt, answers) : state ? reason(state) : { title: t("reason.waiting") };
    setText(this.title, told.title);
    setText(this.remedy, told.remedy ?? "");
    setText(this.detail, told.detail ?? "");
    for (const element of [this.title, this.remedy]) setAttribute(element, "lang", told.lang);
    setText(this.since, state?.since_ms && !silent ? t("band.since", { time: format.moment(state.since_ms) }) : "");
    setText(this.rate.value, isNumber(state?.not_passed_rate) ? format.percent(state.not_passed_rate) : t("word.none"));
    setText(this.speed.value, perMinute(state));
  }
}

function lost(heardAt, answers) {
  const values = heardAt ? { time: format.moment(heardAt) } : {};
  return { title: silence(answers), remedy: t(heardAt ? "reason.silent.since" : "reason.silent.never", values) };
}

/** Return why nothing comes from the monitor. */
export function silence(answers) {
  return t(answers ? "reason.silent.crowded" : "reason.silent");
}

function figure(id, label) {
  const value = h("dd", { id });
  return { value, element: h("div", {}, h("dt", {}, label), value) };
}

function perMinute(state) {
  const minutes = state?.trend ?? [];
  const last = minutes.at(-2) ?? minutes.at(-1); // the present minute is not over
  return last ? format.count(last.parts) : t("word.none");
}

function isNumber(value) {
  return typeof value === "number";
}

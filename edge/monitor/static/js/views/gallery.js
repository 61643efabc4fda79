// The gallery: evidence pictures, newest first, by time, class, outcome and reason.  The address holds the filters, so
// that a look at one part leads back to the same pictures, and a link can be sent to somebody.

import { get } from "../api.js";
import { h, setAttribute, setText } from "../dom.js";
import * as format from "../format.js";
import { plural, t } from "../i18n.js";
import { icon } from "../icons.js";
import { failure, field, outcomeChip, page, partPath } from "../panel.js";
import { defect, outcome, why } from "../words.js";

const LIMIT = 60;
const OUTCOMES = ["REJECT", "NO_DECISION", "PASS"];
const REASONS = ["reject", "no_decision", "near", "sample", "challenge"];
const SPANS = { hour: 3_600_000, day: 86_400_000, week: 7 * 86_400_000 };
const KEPT = "edge.gallery";

export function gallery({ navigate }) {
  const asked = new URLSearchParams(location.search);
  const wanted = (name) => asked.get(name) ?? "";
  const list = h("ol", { class: "pictures", id: "pictures", "aria-busy": "true" });
  const line = h("p", { class: "line", role: "status", id: "gallery-line" }, t("gallery.loading"));
  const pager = h("nav", { class: "pager", "aria-label": t("gallery.pages") });
  const classes = select("cls", t("gallery.any"), wanted("cls"), wanted("cls") ? [wanted("cls")] : [], defect);
  const filters = filterForm(wanted, classes, navigate);
  const element = page(t("gallery.title"), filters, line, list, pager);
  const parameters = Object.fromEntries(["cls", "outcome", "reason", "before"].map((name) => [name, wanted(name)]));
  const since = wanted("since") ? format.readLocal(wanted("since")) : null;
  const until = wanted("until") ? format.readLocal(wanted("until")) : null;

  const load = async () => {
    try {
      const found = await get("/api/pictures", { ...parameters, since, until, limit: LIMIT });
      list.replaceChildren(...found.pictures.map(card));
      found.classes.filter((name) => name !== wanted("cls")).forEach((name) => classes.append(option(name, defect(name))));
      setText(line, found.pictures.length ? plural("gallery.shown", found.pictures.length) : t("gallery.none"));
      pager.replaceChildren(...pages(asked, found));
      keep(found.pictures);
    } catch (error) {
      line.replaceChildren(failure(error));
    }
    setAttribute(list, "aria-busy", "false");
  };
  load();
  return { title: t("gallery.title"), element };
}

function filterForm(wanted, classes, navigate) {
  const since = h("input", { type: "datetime-local", name: "since", value: wanted("since") });
  const until = h("input", { type: "datetime-local", name: "until", value: wanted("until") });
  const form = h(
    "form",
    { class: "filters", role: "search", "aria-label": t("gallery.filters") },
    field(t("gallery.outcome"), select("outcome", t("gallery.any"), wanted("outcome"), OUTCOMES, outcome)),
    field(t("gallery.class"), classes),
    field(t("gallery.reason"), select("reason", t("gallery.any"), wanted("reason"), REASONS, (name) => t(`reason_kept.${name}`))),
    field(t("gallery.since"), since, "is-wide"),
    field(t("gallery.until"), until, "is-wide"),
    h("div", { class: "filter-actions" }, h("button", { class: "button is-main" }, t("gallery.apply")), clear(navigate)),
    h("div", { class: "spans", role: "group", "aria-label": t("gallery.spans") }, spans(since, until, () => form.requestSubmit())),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const given = [...new FormData(form)].filter(([, value]) => value);
    const query = new URLSearchParams(given).toString();
    navigate(query ? `/gallery?${query}` : "/gallery");
  });
  return form;
}

function clear(navigate) {
  return h("button", { class: "button", type: "button", on: { click: () => navigate("/gallery") } }, t("gallery.clear"));
}

function spans(since, until, submit) {
  return Object.entries(SPANS).map(([name, lasting]) => {
    const click = () => {
      since.value = format.toLocal(Date.now() - lasting);
      until.value = "";
      submit();
    };
    return h("button", { class: "button is-small", type: "button", "data-span": name, on: { click } }, t(`gallery.span.${name}`));
  });
}

function select(name, any, chosen, values, text) {
  const options = values.map((value) => option(value, text(value), value === chosen));
  return h("select", { name }, option("", any), options);
}

function option(value, text, selected = false) {
  return h("option", { value, selected }, text);
}

function card(picture) {
  const { part, outcome: ended, score, mark } = picture;
  const confidence = typeof score === "number" && picture.cls ? format.percent(score, 0) : "";
  return h(
    "li",
    {},
    h(
      "a",
      { class: "picture", href: partPath(picture), "data-part": part },
      h("span", { class: "picture-image" }, h("img", { src: picture.thumb, alt: "", loading: "lazy", decoding: "async" }), markBadge(mark)),
      h("span", { class: "picture-head" }, outcomeChip(ended), h("span", {}, confidence)),
      h("strong", { class: "picture-why" }, why(picture)),
      h("span", { class: "picture-when" }, t("live.part", { part })),
      h("span", { class: "picture-when" }, format.dateTime(picture.wall_ms)),
    ),
  );
}

function markBadge(mark) {
  if (!mark) return null;
  return h("span", { class: `mark is-${mark}` }, icon(mark === "right" ? "check" : "cross"), t(`mark.${mark}.short`));
}

/** Return the links to newer and older pictures.  Newer is the first page: pictures come in while one looks. */
function pages(asked, { pictures, more }) {
  const to = (before) => {
    const query = new URLSearchParams(asked);
    if (before) query.set("before", before);
    else query.delete("before");
    return `/gallery?${query}`;
  };
  const newest = asked.has("before") ? h("a", { class: "button", href: to("") }, icon("back"), t("gallery.newest")) : null;
  const older = more ? h("a", { class: "button", id: "older", href: to(pictures.at(-1).id) }, t("gallery.older"), icon("next")) : null;
  return [newest, older].filter(Boolean);
}

/** Keep what is shown, so that a part's page can lead to the next one. */
function keep(pictures) {
  const parts = pictures.map(partPath);
  sessionStorage.setItem(KEPT, JSON.stringify({ parts, back: location.pathname + location.search }));
}

/** Return {back, before, after}: the gallery that was last looked at, and the neighbours there of the part at `path`. */
export function around(path) {
  const { parts = [], back = "/gallery" } = JSON.parse(sessionStorage.getItem(KEPT) ?? "{}");
  const at = parts.indexOf(path);
  return { back, before: at > 0 ? parts[at - 1] : null, after: at >= 0 ? (parts[at + 1] ?? null) : null };
}

// Starts the page, and brings views and addresses together.

import { me, refreshMe } from "./api.js";
import { setAttribute, setText } from "./dom.js";
import { Feed } from "./feed.js";
import { useZone } from "./format.js";
import { start, t } from "./i18n.js";
import { Band, head, showPage, silence } from "./shell.js";
import { alarms } from "./views/alarms.js";
import { challenge } from "./views/challenge.js";
import { gallery } from "./views/gallery.js";
import { login } from "./views/login.js";
import { overview } from "./views/overview.js";
import { part } from "./views/part.js";
import { shifts } from "./views/shifts.js";
import { SILENT, reason } from "./words.js";

const VIEWS = [
  [/^\/$/, "overview", overview],
  [/^\/gallery$/, "gallery", gallery],
  [/^\/part\/(\d+)\/(\d+)$/, "part", part],
  [/^\/shifts$/, "shifts", shifts],
  [/^\/alarms$/, "alarms", alarms],
  [/^\/challenge$/, "challenge", challenge],
  [/^\/login$/, "login", login],
];

const LOGIN = VIEWS.at(-1);
const AGAIN_MS = 3000; // after texts that could not be loaded

const at = (id) => document.getElementById(id);
const feed = new Feed("/api/events");
let band;
let leave = () => {};
let announced = "";
let version = null; // of the pages that the monitor serves, when this one was loaded
let answers = false; // the monitor did, while its stream is silent

/** Draw what every page has, in the present language and for the present user. */
function drawShell() {
  useZone(me.timezone);
  setText(at("skip"), t("shell.skip"));
  at("top").replaceChildren(...head(again));
  band = new Band(at("band"));
  showState();
}

function drawView(focused) {
  leave();
  const mustLogIn = me.private && !me.user;
  const [pattern, page, view] = mustLogIn ? LOGIN : (VIEWS.find(([pattern]) => pattern.test(location.pathname)) ?? VIEWS[0]);
  const parameters = (location.pathname.match(pattern) ?? []).slice(1);
  const drawn = view({ feed, navigate, again }, ...parameters);
  leave = drawn.leave ?? (() => {});
  document.title = t("app.title", { page: drawn.title });
  document.body.dataset.view = page;
  at("main").replaceChildren(drawn.element);
  showPage(page === "part" ? "gallery" : page, location.pathname + location.search);
  if (focused) at("main").querySelector("h1").focus({ preventScroll: true });
}

/** Draw all anew, after `what` changed: the focus stays where it was. */
function again(what) {
  if (feed.silent) feed.open();
  drawShell();
  drawView(false);
  at(what)?.focus();
}

function navigate(url) {
  history.pushState(null, "", url);
  drawView(true);
  scrollTo(0, 0);
}

function followLinks(event) {
  const link = event.target.closest("a[href]");
  const isPlain = event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey);
  if (!link || !isPlain || link.origin !== location.origin || link.hash || link.hasAttribute("download")) return;
  if (!VIEWS.some(([pattern]) => pattern.test(link.pathname))) return;
  event.preventDefault();
  navigate(link.pathname + link.search);
}

function showState() {
  const { state, silent, heardAt } = feed;
  band.show(state, { silent, heardAt, answers });
  document.body.classList.toggle("is-stale", silent);
  setText(at("station-name"), stationName(state));
  setText(at("foot"), identity(state));
  const standing = state?.alarms?.length ?? 0;
  setText(at("alarm-count"), String(standing));
  setAttribute(at("alarm-count"), "hidden", standing === 0);
  announce(state, silent);
}

/** Tell a screen reader of another state or another reason, and of nothing else: numbers change all the time. */
function announce(state, silent) {
  const word = silent ? SILENT : state?.state;
  const about = silent ? word : `${word} ${state?.reason_key || state?.reason}`;
  if (!word || about === announced || document.hidden) return;
  announced = about;
  const why = silent ? silence(answers) : reason(state).title;
  setText(at("announcer"), t("band.announced", { state: t(`state.${word}`), reason: why }));
}

/** Find out why nothing comes, and ask for the login where it has ended. */
async function askWhy({ detail: isSilent }) {
  if (!isSilent) answers = false;
  if (!isSilent || document.hidden) return;
  const error = await refreshMe().then(() => null, (refused) => refused);
  answers = feed.silent && error?.code !== "silent";
  if (answers && me.private && !me.user && document.body.dataset.view !== "login") again("main");
  else showState();
}

/** Load the page anew where the monitor serves another one by now, and nobody is writing in this one. */
function renew({ detail: { page = null } }) {
  version ??= page;
  const isWriting = at("main").contains(document.activeElement?.closest("input, textarea, select") ?? null);
  if (page !== version && !isWriting) location.reload();
}

function stationName(state) {
  const { name, lane } = state?.station ?? {};
  return name ? t("shell.station", { name, lane: lane ?? 0 }) : "";
}

function identity(state) {
  const { recipe, model, engine, precision, version } = state?.identity ?? {};
  return recipe ? t("shell.identity", { recipe, model, engine, precision, version }) : "";
}

async function begin() {
  const asked = refreshMe().catch(() => {}); // the band tells of a monitor that does not answer
  try {
    await start(asked.then(() => me.language));
  } catch (error) {
    console.warn(`The texts are not there yet: ${error.message}`);
    setAttribute(at("band"), "data-state", SILENT); // not a word can be said yet, but that there is no news
    setTimeout(begin, AGAIN_MS);
    return;
  }
  drawShell();
  drawView(false);
  document.addEventListener("click", followLinks);
  addEventListener("popstate", () => drawView(true));
  feed.addEventListener("state", showState);
  feed.addEventListener("state", renew);
  if (feed.state) renew({ detail: feed.state });
  feed.addEventListener("silence", showState);
  feed.addEventListener("silence", askWhy);
}

begin();

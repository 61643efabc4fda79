// Texts.  One catalogue a language; English stands in for a key that a catalogue lacks.
// To add a language: write i18n/XX.json and name it in i18n/languages.json.

const KEPT = "edge.language";

let languages = {};
let texts = {};
let english = {};
let plurals = new Intl.PluralRules("en");

/** The present language, as in `lang`. */
export let language = "en";

/** Return the languages that there are: their own names, by code. */
export function available() {
  return languages;
}

/** Load the catalogue of the kept language, else the monitor's (once `preferred` tells it), else the browser's. */
export async function start(preferred) {
  let monitors;
  [languages, english, monitors] = await Promise.all([file("languages"), file("en"), preferred]);
  const wishes = [localStorage.getItem(KEPT), monitors, ...navigator.languages.map((name) => name.slice(0, 2)), "en"];
  await use(wishes.find((name) => name in languages));
}

/** Use another language, and keep that choice in this browser. */
export async function choose(name) {
  await use(name);
  localStorage.setItem(KEPT, name);
}

async function use(name) {
  texts = name === "en" ? english : await file(name);
  language = name;
  plurals = new Intl.PluralRules(name);
  document.documentElement.lang = name;
}

async function file(name) {
  const answer = await fetch(`/static/i18n/${name}.json`);
  if (!answer.ok) throw new Error(`i18n/${name}.json: ${answer.status}`);
  return answer.json();
}

/** Say whether there is a text for `key`. */
export function has(key) {
  return key in texts || key in english;
}

/** Return the text for `key`, with {name} replaced from `values`. */
export function t(key, values = {}) {
  const text = texts[key] ?? english[key];
  if (text === undefined) {
    console.error(`No text for ${key}`);
    return key;
  }
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** Return the text for `key` for a number: `key.one`, `key.other`, as the language has it; {count} is the number. */
export function plural(key, count, values = {}) {
  return t(`${key}.${plurals.select(count)}`, { count: count.toLocaleString(language), ...values });
}

/** Return the English text for `key`: what a server's text begins with. */
export function inEnglish(key) {
  return english[key] ?? "";
}

"""Texts: one catalogue a language, and not a word on a page that is not from there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from edge.core.alarms import ALARMS
from edge.core.challenge import Phase, Result
from edge.core.challenge_due import REASONS
from edge.core.outcome import CAUSES, Disposition, Outcome
from edge.monitor import metric_table
from tests.browser import sample
from tests.browser.conftest import Open
from tests.browser.standin import STATIC, StandIn, now_ms

LANGUAGES: dict[str, str] = json.loads((STATIC / "i18n" / "languages.json").read_text())
CATALOGUES: dict[str, dict[str, str]] = {
    name: json.loads((STATIC / "i18n" / f"{name}.json").read_text()) for name in LANGUAGES
}
ENGLISH = CATALOGUES["en"]
SOURCES = {path: path.read_text() for path in sorted((STATIC / "js").rglob("*.js"))}

FAMILIES = (
    "alarm", "cause", "challenge_due", "challenge_expect", "challenge_phase", "challenge_result", "challenge_task",
    "class", "device", "disposition", "end", "gate", "health", "identity", "instant", "mark", "nav", "outcome",
    "reason", "reason_kept", "sensor", "source", "stage", "state", "theme",
)  # fmt: skip
"""First words of keys that the pages put together from a word of the line."""


def placeholders(text: str) -> list[str]:
    """Return the names that are filled in."""
    return sorted(re.findall(r"\{(\w+)\}", text))


@pytest.mark.parametrize("name", LANGUAGES)
def test_every_catalogue_has_the_same_keys_and_placeholders(name: str) -> None:
    catalogue = CATALOGUES[name]
    assert list(catalogue) == list(ENGLISH)
    assert {key: placeholders(text) for key, text in catalogue.items()} == {
        key: placeholders(text) for key, text in ENGLISH.items()
    }
    assert all(text.strip() for text in catalogue.values())


def test_every_language_has_a_catalogue_and_every_catalogue_a_name() -> None:
    files = {path.stem for path in (STATIC / "i18n").glob("*.json")} - {"languages"}
    assert files == set(LANGUAGES) >= {"en", "de"}


def test_german_is_german() -> None:
    same = {
        key for key, text in ENGLISH.items() if CATALOGUES["de"][key] == text and len(text) > 12 and "{" not in text
    }
    assert not same


def test_english_is_the_programs_own() -> None:
    """A page finds the details of an alarm behind the sentence that it knows: both must be one."""
    for name, alarm in ALARMS.items():
        assert ENGLISH[f"alarm.{name}.text"] == alarm.text
        assert ENGLISH[f"alarm.{name}.remedy"] == alarm.remedy
    assert {name: ENGLISH[f"cause.{name}"] for name in CAUSES} == {name: cause.text for name, cause in CAUSES.items()}
    assert {name: ENGLISH[f"challenge_due.{name}"] for name in REASONS} == REASONS


@pytest.mark.parametrize(
    ("family", "words"),
    [
        ("outcome", [o.value for o in Outcome]),
        ("disposition", [d.value for d in Disposition]),
        ("end", [*metric_table.REJECTED_CAUSES, *metric_table.VOIDED_CAUSES, "executed", "unread"]),
        ("challenge_phase", [p.value for p in Phase if p is not Phase.ENDED]),
        ("challenge_task", [p.value for p in Phase if p is not Phase.ENDED]),
        ("challenge_result", [r.value for r in Result]),
        ("state", ["RUNNING", "WARNING", "FAULT", "STOPPED", "WAITING", "SILENT"]),
        ("reason_kept", ["reject", "no_decision", "near", "sample", "challenge"]),
        ("alarm", [f"{name}.text" for name in ("camera", "trigger")]),
    ],
)
def test_every_word_of_the_line_has_a_text(family: str, words: list[str]) -> None:
    assert [word for word in words if f"{family}.{word}" not in ENGLISH] == []


def test_every_reason_of_the_band_has_a_text() -> None:
    keys = set(
        re.findall(r'Band\(\s*"[A-Z]+",\s*"([a-z_]+)"', (Path(metric_table.__file__).parent / "band.py").read_text())
    )
    assert len(keys) >= 6
    assert [key for key in keys if f"reason.{key}" not in ENGLISH] == []


def test_every_key_in_the_code_is_in_the_catalogue_and_the_other_way_round() -> None:
    code = "\n".join(SOURCES.values())
    used = set(re.findall(r'\bt\("([^"]+)"', code)) | set(re.findall(r'"(error\.\w+)"', code))
    used |= {match for pair in re.findall(r'\bt\([^()"]*\? "([\w.]+)" : "([\w.]+)"', code) for match in pair}
    used |= {f"{key}.{number}" for key in re.findall(r'\bplural\("([^"]+)"', code) for number in ("one", "other")}
    made = re.findall(r"\bt\(`([\w.]+)\$\{", code)  # keys that are put together
    assert [key for key in used if key not in ENGLISH] == []
    unused = [
        key
        for key in ENGLISH
        if key not in used and key.split(".")[0] not in FAMILIES and not any(key.startswith(start) for start in made)
    ]
    assert unused == []


def test_shell_holds_no_text() -> None:
    shell = (STATIC / "index.html").read_text()
    texts = re.sub(r"<title>edge</title>|<[^>]*>", "", shell)
    assert texts.strip() == ""
    assert not re.search(r'\b(alt|title|placeholder|aria-label)="[^"]', shell)


LETTERS = re.compile(r"[^\W\d_]")


def every_text(page: Any) -> list[str]:
    """Return all that a page shows or tells a screen reader, piece by piece."""
    told: list[str] = page.evaluate(
        """() => {
          const told = [document.title];
          const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
          while (walk.nextNode()) told.push(walk.currentNode.data);
          for (const element of document.querySelectorAll("*")) {
            for (const name of ["aria-label", "title", "alt", "placeholder", "label"]) {
              if (element.hasAttribute(name)) told.push(element.getAttribute(name));
            }
          }
          return told;
        }"""
    )
    return told


def bracketed(value: Any) -> Any:
    """Return a server's answer with its free texts in brackets."""
    if isinstance(value, dict):
        free = ("text", "detail", "remedy", "reason", "rule", "note", "name", "operator", "acknowledged_by", "who")
        return {
            name: f"⟦{one}⟧" if name in free and one and isinstance(one, str) else bracketed(one)
            for name, one in value.items()
        }
    return [bracketed(each) for each in value] if isinstance(value, list) else value


@pytest.mark.parametrize("kind", ["running", "warning", "challenge"])
def test_no_page_shows_a_text_from_elsewhere(open_page: Open, stand_in: StandIn, kind: str) -> None:
    """With a catalogue in brackets, every piece of text with a letter in it is in brackets, or is data."""
    stand_in.catalogue = {key: re.sub(r"(\{\w+\})", r"⟧\1⟦", f"⟦{text}⟧") for key, text in ENGLISH.items()}
    made = {"running": sample.state, "warning": sample.warning, "challenge": sample.state}[kind](now_ms())
    if kind == "challenge":
        made["challenge"] = sample.challenge_running(now_ms())
        stand_in.user = "⟦anna⟧"
    alarms = made["alarms"]
    stand_in.state = bracketed(made) | {
        "alarms": [a | {"text": f"⟦{a['text']}⟧", "remedy": f"⟦{a['remedy']}⟧"} for a in alarms]
    }
    stand_in.history = [a | {"text": f"⟦{a['text']}⟧", "note": "", "acknowledged_by": None} for a in stand_in.history]
    stand_in.runs = [r | {"operator": "", "faults": []} for r in stand_in.runs]
    stand_in.pictures = [sample.picture(n, now_ms()) | {"rule": "⟦rule⟧"} for n in range(30, 0, -1)]
    first = stand_in.pictures[0]
    words = set(sample.state()["identity"].values()) | {
        "station-1",
        "edge",
        "anna",
        *LANGUAGES.values(),
        "gateway",
        "station",
    }
    words |= {"T0", "T1", "T2", "T3", "T4", "T5", "T6", "UTC", sample.RULE, "long scratch", "Europe/Berlin"}
    data = re.compile("|".join(re.escape(word) for word in sorted(words, key=len, reverse=True)))
    page = open_page(size=(1280, 1024))
    for path in (
        "/",
        "/gallery",
        f"/part/{first['session']}/{first['part']}",
        "/shifts",
        "/alarms",
        "/challenge",
        "/login",
    ):
        page.goto(stand_in.url + path)
        page.wait_for_selector("h1", state="attached")
        page.wait_for_selector(".band[data-state=RUNNING], .band[data-state=WARNING]")
        if path == "/":
            stand_in.send("part", bracketed(sample.reject(9, now_ms())))
            stand_in.live()
        page.wait_for_timeout(300)
        pieces = [re.sub(r"⟦[^⟧]*⟧", "", piece) for piece in every_text(page)]
        foreign = {piece.strip() for piece in pieces if LETTERS.search(data.sub("", piece))}
        assert foreign == set(), path


def test_language_is_chosen_kept_and_told(open_page: Open) -> None:
    page = open_page("/shifts")
    assert page.inner_text("h1") == "Shifts"
    page.select_option("#language", "de")
    page.wait_for_selector("h1:has-text('Schichten')")
    assert page.get_attribute("html", "lang") == "de"
    assert page.title() == "Schichten – Oberflächenprüfung"  # noqa: RUF001
    assert page.evaluate("document.activeElement.id") == "language"
    page.reload()
    page.wait_for_selector("h1:has-text('Schichten')")


def test_first_language_is_the_monitors(open_page: Open, stand_in: StandIn) -> None:
    stand_in.language = "de"
    assert open_page("/shifts", locale="en").inner_text("h1") == "Schichten"


def test_alarms_are_translated_and_their_details_kept(open_page: Open, stand_in: StandIn) -> None:
    stand_in.language, stand_in.state = "de", sample.warning(now_ms())
    page = open_page()
    row = page.wait_for_selector("[data-alarm=reject_rate]")
    assert row is not None
    lines = row.inner_text().splitlines()
    assert lines[:3] == [
        "Zu hoher Anteil an Ausschuss.",
        "41 of the last 200 parts",
        "Ausschussteile ansehen, dann zurücksetzen.",
    ]
    assert page.get_attribute("[data-alarm=reject_rate] .alarm-detail", "lang") == "en"
    assert page.inner_text("#count-pass") == "76.702"


def test_every_module_is_asked_for_at_once() -> None:
    """Else the first paint waits for one round trip a level of imports."""
    shell = (STATIC / "index.html").read_text()
    modules = {f"/static/js/{path.relative_to(STATIC / 'js').as_posix()}" for path in SOURCES}
    assert set(re.findall(r'(?:src|href)="(/static/js/[^"]+)"', shell)) == modules

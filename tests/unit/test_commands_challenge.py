"""`edge challenge`: what people read, and what a script gets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from edge.commands import challenge_cli
from edge.commands.challenge_cli import app, render_status
from edge.config import ChallengeConfig, JournalConfig
from edge.core.challenge import Result
from edge.core.challenge_due import REASONS
from edge.core.challenge_judge import FAULTS
from edge.errors import ChallengeError, JournalError
from edge.record.challenge import read_entry
from edge.record.challenge_archive import Archive
from edge.record.challenge_keys import read_signer
from edge.record.journal import Event, Journal
from edge.wire.messages import ChallengeEnd, ChallengePiece, ChallengeStatus


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return str(done.output)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    run("key", str(tmp_path / "key"))
    archive = Archive(tmp_path / "records", read_signer(tmp_path / "key"), "station-1", 0)
    archive.append("begun", {"operator": "anna"})
    fault = {"name": "rejected", "piece": "clean", "text": "Piece clean must pass.", "remedy": "Look."}
    pieces = [{"name": "bad", "part": 7, "outcome": "REJECT"}, {"name": "clean", "part": 8, "outcome": "REJECT"}]
    archive.append("ended", {"result": "failed", "operator": "anna", "faults": [fault], "pieces": pieces})
    return tmp_path / "records"


def test_the_list_shows_the_result_and_what_was_wrong(folder: Path) -> None:
    text = run("list", str(folder))
    assert "FAILED" in text
    assert "1/2 pieces" in text
    assert "anna" in text
    assert "Piece clean must pass." in text
    assert json.loads(run("list", str(folder), "--json"))[0]["result"] == "failed"


def test_a_record_is_shown_in_full(folder: Path) -> None:
    text = run("show", str(folder), "2")
    assert "name clean, outcome REJECT, part 8" in text
    assert json.loads(run("show", str(folder), "2", "--json"))["data"]["result"] == "failed"
    with pytest.raises(ChallengeError, match="cannot be read"):
        run("show", str(folder), "3")


def test_a_chain_that_was_touched_ends_the_command_with_an_error(folder: Path) -> None:
    key = str(folder.parent / "key.pub")
    head = run("verify", str(folder), "--key", key).split(" up to ")[1].strip().rstrip(".")
    assert "unchanged" in run("verify", str(folder), "--key", key, "--head", head)
    assert json.loads(run("verify", str(folder), "--key", key, "--json"))["head"] == head
    with pytest.raises(ChallengeError, match="1 problems"):
        run("verify", str(folder), "--key", key, "--head", "3:00")
    path = folder / "00000002.json"
    path.write_bytes(path.read_bytes().replace(b"failed", b"passed"))
    with pytest.raises(ChallengeError, match="problems"):
        run("verify", str(folder), "--key", key, "--head", head)


def test_a_folder_that_was_emptied_does_not_verify_and_a_journal_tells_what_it_held(folder: Path) -> None:
    key, journal = str(folder.parent / "key.pub"), folder.parent / "journal"
    with pytest.raises(JournalError, match="holds no journal"):
        run("verify", str(folder), "--key", key, "--journal", str(journal))
    writer = Journal(JournalConfig(folder=str(journal)), "station", "station-1", 0)
    for number in (1, 2):
        data = {"number": number, "sha256": read_entry(folder, number).sha256()}
        writer.put(Event("challenge_record", "It is written.", data, number))
    writer.put(Event("challenge", "It has ended.", {"result": "failed"}, 3))
    writer.close()
    assert "complete up to 2:" in run("verify", str(folder), "--key", key, "--journal", str(journal))
    (folder / "00000002.json").unlink()
    assert "complete up to 1:" in run("verify", str(folder), "--key", key)
    with pytest.raises(ChallengeError, match="1 problems"):
        run("verify", str(folder), "--key", key, "--journal", str(journal))
    (folder / "00000001.json").unlink()
    with pytest.raises(ChallengeError, match="1 problems"):
        run("verify", str(folder), "--key", key)
    assert run("verify", str(folder), "--key", key, "--allow-empty").strip() == "No records."


def test_the_status_says_what_to_do_and_what_was_wrong() -> None:
    pieces = [
        ChallengePiece("bad", "reject", 7, 1, "PASS", "good", "", ["Piece bad must be rejected."], False),
        ChallengePiece("clean", "pass"),
    ]
    last = ChallengeEnd(12, "passed", 1_700_000_000_000, "ben")
    status = ChallengeStatus(True, "placing", "Challenge: lay on piece 2.", "anna", 0, pieces, {}, 3.5, last, True)
    text = render_status(status).splitlines()
    assert text[0] == "Challenge: lay on piece 2."
    assert text[1].split() == ["due", "in", "3.50", "h", "of", "running"]
    assert text[2].split()[:7] == ["WRONG", "bad", "must", "reject", "part", "7", "PASS"]
    assert text[3].split() == ["-", "clean", "must", "pass"]
    assert "PASSED  ben  record 12" in text[4]
    idle = ChallengeStatus(True, due={"shift": "a shift began"}, problem="No space.")
    assert render_status(idle).splitlines() == ["A challenge is due.", "  due: a shift began", "  NO RECORD: No space."]


def test_the_page_names_every_fault_reason_and_result() -> None:
    page = (Path(__file__).parents[2] / "docs" / "challenge.md").read_text()
    for kind in FAULTS.values():
        text = kind.text if kind.text[0].isupper() else f"Piece … {kind.text}."
        assert f"| `{kind.name}` | {text} | {kind.remedy}" in page
    for name in (*REASONS, *(result.value for result in Result)):
        assert f"| `{name}` |" in page
    for name in ChallengeConfig.model_fields:
        assert name in page, f"key {name}"


def test_a_challenge_is_followed_to_its_end_and_each_step_shown_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(phase: str, text: str) -> dict[str, Any]:
        return {"challenge": msgspec.to_builtins(ChallengeStatus(True, phase, text))}

    answers = [told("clearing", "Wait."), told("clearing", "Wait."), told("placing", "Lay on."), told("", "")]
    monkeypatch.setattr(challenge_cli, "command", lambda *_: answers.pop(0))
    monkeypatch.setattr(challenge_cli, "LOOK_S", 0.0)
    assert run("status", "socket", "--follow").splitlines() == ["Wait.", "Lay on.", "No challenge is due."]
    assert answers == []
    answers = [told("clearing", "Wait."), {}]
    assert json.loads(run("status", "socket", "--json"))["phase"] == "clearing"
    with pytest.raises(ChallengeError, match="No challenge is configured"):
        run("status", "socket")


def test_commands_name_who_is_responsible_and_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[dict[str, Any]] = []

    def command(_: Path, name: str, **arguments: Any) -> dict[str, Any]:
        assert name == "challenge"
        said.append(arguments)
        return {"text": "done"}

    monkeypatch.setattr(challenge_cli, "command", command)
    run("start", "socket", "--operator", "anna", "--note", "new lamp")
    run("returned", "socket", "--operator", "ben", "--missing", "a", "--missing", "b")
    run("abort", "socket")
    assert said == [
        {"action": "start", "operator": "anna", "note": "new lamp"},
        {"action": "returned", "operator": "ben", "missing": "a,b"},
        {"action": "abort", "operator": ""},
    ]

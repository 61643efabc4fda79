"""Challenge parts at a production station: the procedure, its alarms and records, and that it decides nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge import config as cfg
from edge.clock import NS_PER_S, wall_ns
from edge.config import ChallengeConfig, PieceConfig, StationConfig
from edge.core.challenge_due import REASONS
from edge.core.outcome import Outcome
from edge.core.part import Finding, Verdict
from edge.errors import ChallengeError, ConfigError
from edge.record import challenge_archive, challenge_heads
from edge.record.challenge import read_entry, read_runs
from edge.record.challenge_archive import Archive
from edge.record.challenge_keys import Verifier, read_signer, write_pair
from edge.record.challenge_verify import verify
from edge.record.challenge_writer import ChallengeWriter
from edge.record.journal import Event, Journal
from edge.station.challenge import Challenges
from edge.station.challenge_commands import challenge_command, challenges
from edge.station.orders import receiver
from edge.wire import messages as wire
from edge.wire.control import Answer, Command, Peer
from tests.support_station import PASS, RECIPE, Rig, verdicts

PEER = Peer(1000, "opa", 4711)
PIT = Finding("pit", 0.9, (0.0, 0.0, 9.0, 9.0))
FAINT = Finding("scratch", 0.1, (0.0, 0.0, 9.0, 9.0))
REJECT = Verdict(Outcome.REJECT, "rule", (PIT, FAINT), "any")
PIECES = (
    PieceConfig(name="pit 2 mm", expect="reject", classes=("pit",), certificate="C-17"),
    PieceConfig(name="clean", expect="pass"),
)
QUIET: dict[str, Any] = {"after_start": False, "every_h": 0.0}
MORNING = datetime(2026, 3, 2, 9, 0, tzinfo=timezone.utc)


@dataclass
class Bench:
    """A station with challenges, and what a gateway would say of its parts."""

    folder: Path
    key: Path
    sections: dict[str, Any] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    writers: list[ChallengeWriter] = field(default_factory=list)
    local: datetime = MORNING
    number: int = 100
    noted: list[str] = field(default_factory=list)  # of the records, newest first, as in the journal
    recipe: cfg.RecipeConfig = RECIPE

    def __post_init__(self) -> None:
        self.start()

    def start(self, **sections: Any) -> Bench:
        """Start the station, anew where it had been."""
        self.close()
        self.sections |= sections
        folder, key = str(self.folder), str(self.key)
        config = ChallengeConfig(**{"folder": folder, "key": key, "pieces": PIECES, **QUIET, **self.sections})
        self.rig = Rig(challenges=self.make, challenge=config, recipe=self.recipe).grant()
        return self

    def make(self, rig: Rig) -> Challenges:
        """Make what sees to challenges."""
        archive = Archive(self.folder, read_signer(self.key), rig.config.name, rig.config.lane)
        archive.compare(self.noted)
        self.writers.append(ChallengeWriter(archive))
        self.made = Challenges(
            rig.config.challenge,
            archive,
            self.writers[-1],
            self.names,
            rig.reports.note,
            lambda: rig.now,
            lambda: self.local,
        )
        return self.made

    def close(self) -> None:
        """End the threads."""
        while self.writers:
            self.writers.pop().close()

    def ask(self, action: str, **arguments: str) -> Answer:
        """Command it, as the control thread would."""
        rig = self.rig
        command = Command("challenge", {"action": action, **arguments}, PEER)
        others = {"challenge": challenge_command(self.made, lambda: rig.station.changes.current, rig.post)}
        receiver(rig.post, others=others)(command)
        return command.wait(0.0)

    def started(self) -> Bench:
        """Start a challenge, and wait until its pieces may come."""
        before = self.recorded_numbers()
        assert self.ask("start", operator="anna").ok
        self.until(lambda: self.recorded_numbers() > before)
        self.wait(3.1)
        assert self.status().phase == "placing"
        return self

    def wait(self, seconds: float) -> None:
        """Let time pass, with a heartbeat of the gateway now and then."""
        for _ in range(max(1, int(seconds * 2))):
            self.rig.wait_ms(min(500.0, seconds * 1000))
            self.rig.beat(1000 * self.number)

    def status(self) -> wire.ChallengeStatus:
        """Return what is shown of it."""
        return self.made.status()

    def ready(self) -> bool:
        """Return what the station's next heartbeat says."""
        self.rig.heard()
        self.wait(0.2)
        return [m.ready for m in self.rig.heard() if isinstance(m, wire.Heartbeat)][-1]

    def part(self, verdict: Verdict, gate: str | None = None, disposition: str = "ACCEPTED") -> int:
        """Let a part come; its gate does as the verdict says, or as ``gate`` says ("" for not a word)."""
        self.number += 1
        rig, number, session = self.rig, self.number, self.rig.session
        rig.part(number, verdict=verdict)
        passed = verdict.outcome is Outcome.PASS
        rig.say(wire.Ack(session=session, part=number, disposition=disposition, accepted_ns=rig.now))
        fact = ("good" if passed else "rejected") if gate is None else gate
        if passed and fact == "good":
            rig.say(wire.Executed(session=session, part=number, echoed_ns=rig.now))
        if fact:
            rig.say(wire.Gated(session=session, part=number, fact=fact))
        rig.wait_ms(100)
        return number

    def done(self, *verdicts: Verdict) -> str:
        """Make a whole challenge; return its result, once that is on the disk."""
        self.started()
        for verdict in verdicts:
            self.part(verdict)
        self.wait(11)
        assert self.ask("returned", operator="ben").ok
        return self.recorded()

    def recorded_numbers(self) -> list[int]:
        """Return the numbers of the records that are known to be written."""
        return [int(str(data["number"])) for kind, _, data in self.rig.reports.notes if kind == "challenge_record"]

    def recorded(self) -> str:
        """Wait until the last challenge's record is written, and return its result."""
        self.until(lambda: not self.made.writing)
        return self.recorded_last()

    def recorded_last(self) -> str:
        """Return the result of the last record that is known to be written, or ""."""
        last = self.status().last
        return "" if last is None else last.result

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until the writer's thread has come so far, without letting the line's time pass."""
        for _ in range(300):
            self.rig.station.work()
            if holds():
                return
            threading.Event().wait(0.01)
        raise AssertionError("still not after 3 s")

    def alarms(self) -> dict[str, str]:
        """Return the alarms that the station shows."""
        self.wait(1.1)
        return self.rig.reports.alarms


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "key"
    write_pair(path)
    return path


@pytest.fixture
def bench(tmp_path: Path, key: Path) -> Iterator[Bench]:
    made = Bench(tmp_path / "records", key)
    yield made
    made.close()


# -- the procedure -----------------------------------------------------------------------------------------------------


def test_a_line_that_does_as_it_should_passes_with_a_signed_record_and_goes_on(bench: Bench, key: Path) -> None:
    assert bench.ready()
    bench.part(PASS)
    answer = bench.ask("start", operator="anna", note="new lamp")
    assert answer.ok
    assert not bench.ready(), "the infeed is held"
    assert bench.rig.reports.state == ("WARNING", "Challenge: wait until the belt is empty, and lay nothing on it.")
    bench.until(lambda: bench.recorded_numbers() == [1])
    bench.wait(3)
    assert "lay on piece 1 of 2, pit 2 mm, which must be rejected" in bench.rig.reports.state[1]
    assert not bench.ready(), "these pieces are laid onto the belt behind the infeed"
    bad = bench.part(REJECT)
    assert "lay on piece 2 of 2, clean, which must pass" in bench.rig.reports.state[1]
    good = bench.part(PASS)
    bench.wait(3)
    assert "bring all 2 pieces back" in bench.rig.reports.state[1]
    assert [piece.ok for piece in bench.status().pieces] == [True, True]
    assert not bench.ready(), "the good piece lies among the good parts until somebody has it"
    assert bench.ask("returned", operator="ben").ok
    assert bench.recorded() == "passed"
    assert bench.alarms() == {}
    assert bench.ready()
    assert bench.rig.reports.state == ("RUNNING", "")
    assert (bench.status().passed, bench.status().runs["passed"]) == (True, 1)
    assert bench.names == {bad: "pit 2 mm", good: "clean"}

    begun, ended = read_entry(bench.folder, 1).data, read_entry(bench.folder, 2).data
    assert (begun["operator"], begun["user"], begun["uid"], begun["note"]) == ("anna", "opa", 1000, "new lamp")
    assert begun["decides"]["recipe"] == "first"
    assert (ended["result"], ended["returned_by"], ended["faults"]) == ("passed", "ben", [])
    first, second = ended["pieces"]
    assert (first["name"], first["certificate"], first["part"]) == ("pit 2 mm", "C-17", bad)
    assert (first["outcome"], first["rule"], first["gate"], first["fired"]) == ("REJECT", "any", "rejected", ["pit"])
    assert first["findings"][0][:2] == ["pit", 0.9]
    assert (second["part"], second["outcome"], second["executed"], second["gate"]) == (good, "PASS", True, "good")
    assert second["disposition"] == "ACCEPTED"
    assert verify(bench.folder, Verifier([key.with_name("key.pub")])).problems == []


def test_rejecting_everything_fails_on_the_good_piece(bench: Bench) -> None:
    assert bench.done(REJECT, REJECT) == "failed"
    assert "Piece clean must pass, and inspection rejected it." in bench.alarms()["challenge_failed"]
    assert bench.ready(), "on_failed is 'alarm'"
    assert bench.rig.reports.state[0] == "WARNING"
    assert bench.done(REJECT, PASS) == "passed"
    assert bench.alarms() == {}


def test_passing_everything_alarms_at_once_and_holds_the_line_until_one_is_passed(bench: Bench) -> None:
    bench.started().rig.part(101)
    assert "pit 2 mm must be rejected, and inspection passed it" in bench.rig.reports.alarms["challenge_failed"]
    assert "HOLD what has passed" in bench.rig.reports.alarms["challenge_failed"]
    bench.number = 101
    bench.wait(0.1)
    bench.part(PASS)
    bench.wait(11)
    bench.ask("returned", missing="pit 2 mm")
    assert bench.recorded() == "escaped"
    assert not bench.ready()
    assert bench.rig.reports.state[0] == "FAULT"
    bench.start()
    assert not bench.ready(), "a restart clears nothing"
    assert "challenge_failed" in bench.alarms()
    assert bench.done(REJECT, REJECT) == "failed"
    assert not bench.ready(), "and a lesser failure does not either"
    assert bench.done(REJECT, PASS) == "passed"
    assert bench.ready()
    assert bench.alarms() == {}


@pytest.mark.parametrize(
    ("gates", "text"),
    [
        (("", "good"), "pit 2 mm met the gate, and the PLC did not say where"),
        (("rejected", "rejected"), "clean must pass, and the gate was not open for it"),
        (("good", "good"), "pit 2 mm must be rejected, and the gate was open for it"),
    ],
)
def test_a_gate_that_does_not_act_fails_though_inspection_was_right(
    bench: Bench, gates: tuple[str, str], text: str
) -> None:
    bench.started()
    for verdict, gate in zip((REJECT, PASS), gates, strict=True):
        bench.part(verdict, gate)
    bench.wait(11)
    bench.ask("returned")
    assert bench.recorded() in ("failed", "escaped")
    assert text in bench.alarms()["challenge_failed"]


def test_a_sensor_behind_the_gate_must_agree_where_it_is_asked(bench: Bench) -> None:
    bench.start(confirmed_by="sensor")
    for words, result in ((("confirmed", "confirmed"), "passed"), (("contradicted", "confirmed"), "escaped")):
        bench.started()
        for verdict, word in zip((REJECT, PASS), words, strict=True):
            bench.rig.say(wire.Gated(session=bench.rig.session, part=bench.part(verdict), fact=word))
        bench.wait(11)
        bench.ask("returned")
        assert bench.recorded() == result


def test_a_finding_below_the_rule_is_not_the_class_that_was_found(bench: Bench) -> None:
    piece = PieceConfig(name="scratch", expect="reject", classes=("scratch",))
    bench.start(pieces=(piece, PIECES[1]))
    assert bench.done(REJECT, PASS) == "failed", "the scratch in it has a score of 0.1, and the rule asks for 0.5"
    assert "not for a finding of its class" in bench.alarms()["challenge_failed"]


def test_the_infeed_opens_for_the_pieces_where_they_come_through_it(bench: Bench) -> None:
    bench.start(pieces_enter="through_infeed")
    bench.started()
    assert bench.ready()
    bench.part(REJECT)
    assert bench.ready()
    bench.part(PASS)
    assert not bench.ready()


def test_a_lost_part_takes_a_pieces_place_and_nobody_elses(bench: Bench) -> None:
    bench.part(PASS)
    bench.started()
    bench.number += 1
    bench.part(PASS)  # part 102 was never told
    bench.wait(11)
    bench.ask("returned")
    assert bench.recorded() == "failed"
    pieces = read_entry(bench.folder, 2).data["pieces"]
    assert [(piece["part"], piece["cause"]) for piece in pieces] == [(102, "trigger_lost"), (103, "clean")]


def test_a_piece_that_is_told_once_more_after_its_end_is_not_named_again(bench: Bench) -> None:
    bench.started()
    piece = bench.part(REJECT)
    bench.names.clear()  # as its record does
    bench.made.opened(piece, bench.rig.now)
    assert bench.names == {}, "a later part may have this number"


def test_a_session_that_is_lost_and_a_recipe_that_is_changed_fail_it(bench: Bench) -> None:
    bench.started()
    bench.rig.grant()
    bench.wait(0.2)
    assert "The session with the gateway changed" in bench.alarms()["challenge_failed"]
    assert "all pieces that were laid on" in bench.ask("abort").text
    assert not bench.ready(), "a piece may lie on the belt"
    assert bench.ask("returned").ok
    assert bench.recorded() == "failed", "what was wrong stays wrong"
    bench.started()
    other = bench.rig.config.recipe.model_copy(update={"name": "other"})
    bench.rig.station.changes.recipe(other, bench.rig.now)
    bench.wait(0.2)
    assert "What decides was changed" in bench.alarms()["challenge_failed"]


def test_a_further_part_and_a_piece_that_is_missing_raise_the_alarm_too(bench: Bench) -> None:
    bench.started()
    for verdict in (REJECT, PASS, PASS):
        bench.part(verdict)
    assert "A part came that is no piece" in bench.alarms()["challenge_failed"]
    bench.wait(3)
    bench.ask("returned")
    assert bench.recorded() == "failed"
    assert "challenge_failed" in bench.alarms()
    assert bench.done(REJECT, PASS) == "passed"
    assert bench.alarms() == {}
    bench.started()
    for verdict in (REJECT, PASS):
        bench.part(verdict)
    bench.wait(3)
    assert bench.alarms() == {}
    bench.ask("returned", missing="pit 2 mm")
    assert bench.recorded() == "escaped"
    assert "Piece pit 2 mm was not found again" in bench.alarms()["challenge_failed"]
    assert not bench.ready()


def test_commands_that_make_no_sense_are_refused_with_words(bench: Bench) -> None:
    assert "No challenge waits" in bench.ask("returned").text
    assert "No challenge runs" in bench.ask("abort").text
    assert "action" in bench.ask("stop").text
    assert bench.ask("start").ok
    assert "under way" in bench.ask("start").text
    assert "There is no piece" in bench.ask("returned", missing="clean, dirty").text
    assert bench.ask("abort").ok
    assert bench.recorded() == "aborted"
    assert read_entry(bench.folder, 1).data["operator"] == "opa", "who commands is responsible where nobody is named"
    command = Command("challenge", {"action": "start"}, PEER)
    challenge_command(None, lambda: bench.rig.station.changes.current, bench.rig.post)(command)
    assert "No challenge is configured" in command.wait(0.0).text


# -- it decides nothing ------------------------------------------------------------------------------------------------

PARTS = st.lists(st.tuples(st.sampled_from([PASS, REJECT]), st.floats(0, 4000), st.booleans()), max_size=12)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PARTS)
def test_no_verdict_is_another_because_of_a_challenge(bench: Bench, parts: list[tuple[Verdict, float, bool]]) -> None:
    def told(rig: Rig, start: bool) -> tuple[list[Any], dict[int, str]]:
        for number, (verdict, wait_ms, late) in enumerate(parts, 1):
            if start and number == 3:
                bench.ask("start")
            rig.post(rig.edge(number))
            if not late:
                rig.post(rig.frame(number))
                if number in rig.engine.jobs:
                    rig.decide(number, verdict)
            rig.wait_ms(wait_ms)
        return verdicts(rig.heard()), rig.reports.causes()

    bench.start()
    assert told(bench.rig, True) == told(Rig().grant(), False)


# -- when it is due ----------------------------------------------------------------------------------------------------


def reasons(bench: Bench) -> set[str]:
    bench.wait(1.1)
    return set(bench.status().due)


def test_it_is_due_after_a_start_a_fault_a_change_and_a_shift(bench: Bench) -> None:
    assert reasons(bench) == set()
    bench.start(after_start=True, shifts=("06:00", "14:00"), every_h=8.0)
    assert reasons(bench) == {"start", "shift"}, "none was ever passed"
    assert bench.alarms()["challenge_due"].startswith("A challenge is due. Because: ")
    bench.local = datetime.now(timezone.utc)
    assert bench.done(REJECT, PASS) == "passed"
    assert reasons(bench) == set()
    assert bench.status().hours_left is not None
    bench.start(after_start=False)
    bench.local = datetime.now(timezone.utc)
    assert reasons(bench) == set(), "a restart that was not to count"
    bench.rig.station.changes.recipe(bench.rig.config.recipe.model_copy(update={"name": "other"}), bench.rig.now)
    assert reasons(bench) == {"change"}
    bench.rig.heard_ns = 0  # the camera shows no sign of life
    assert reasons(bench) == {"change"}
    bench.rig.heard_ns = None
    assert reasons(bench) == {"change", "fault"}
    bench.local += timedelta(days=1)
    assert reasons(bench) == {"change", "fault", "shift"}
    assert set(bench.status().due.values()) <= set(REASONS.values())


def test_what_comes_due_while_one_is_made_is_not_skipped_and_does_not_touch_its_record(bench: Bench) -> None:
    bench.local = datetime.now(timezone.utc).replace(hour=5, minute=59)
    assert bench.done(REJECT, PASS) == "passed"
    bench.local += timedelta(days=1)
    bench.start(shifts=("06:00",), grace_min=0.0)
    bench.part(PASS)
    bench.started()
    bench.local = bench.local.replace(hour=6, minute=1) + timedelta(days=1)
    bench.part(REJECT)
    assert reasons(bench) == {"shift"}
    bench.part(PASS)
    bench.wait(4)
    bench.ask("returned")
    assert bench.recorded() == "passed"
    assert reasons(bench) == set()
    assert [run.result for run in read_runs(bench.folder)] == ["passed", "passed"]


def test_one_that_was_recorded_by_a_clock_that_was_ahead_silences_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(challenge_archive, "wall_ns", lambda: wall_ns() + 10 * 365 * 86_400 * NS_PER_S)
        assert bench.done(REJECT, PASS) == "passed"
    bench.local = datetime.now(timezone.utc)
    bench.start(shifts=("06:00",), every_h=8.0)
    assert reasons(bench) == {"hours", "shift"}, "when it was, nobody knows"
    assert bench.done(REJECT, PASS) == "passed"
    bench.start()
    assert reasons(bench) == set()


def test_a_change_while_the_station_stood_counts_too(bench: Bench) -> None:
    assert bench.done(REJECT, PASS) == "passed"
    bench.start()
    assert reasons(bench) == set()
    bench.recipe = RECIPE.model_copy(update={"name": "other"})
    bench.start()
    assert reasons(bench) == {"change"}


@pytest.mark.parametrize("reaction", ["alarm", "hold"])
def test_one_that_is_not_made_in_time_is_recorded_as_skipped(bench: Bench, reaction: str) -> None:
    bench.start(after_start=True, grace_min=0.1, on_skipped=reaction)
    bench.wait(20)
    assert read_runs(bench.folder) == [], "nothing runs: nothing is skipped"
    bench.part(PASS)
    bench.wait(5)
    assert bench.ready()
    bench.wait(3)
    bench.until(lambda: bench.recorded_last() == "skipped")
    assert "It was skipped" in bench.alarms()["challenge_due"]
    assert bench.ready() is (reaction == "alarm")
    assert bench.rig.reports.state[0] == ("WARNING" if reaction == "alarm" else "FAULT")
    assert read_runs(bench.folder)[0].result == "skipped"
    bench.start(after_start=False)
    assert "It was skipped" in bench.alarms()["challenge_due"], "a restart clears nothing"
    assert bench.done(REJECT, PASS) == "passed"
    assert bench.ready()
    assert bench.alarms() == {}


def full(*_: object) -> None:
    raise ChallengeError("No space left on device.", "make room.")


# -- records -----------------------------------------------------------------------------------------------------------


def test_without_its_record_nothing_is_passed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.record.challenge_writer.RETRY_S", 0.01)

    bench.started()
    bench.part(REJECT)
    bench.part(PASS)
    bench.wait(3.1)
    bench.until((bench.folder / "00000001.json").exists)
    with monkeypatch.context() as patched:
        patched.setattr(Archive, "append", full)
        assert "passed" in bench.ask("returned").text
        bench.until(lambda: bool(bench.status().problem))
    assert bench.status().problem == "No space left on device."
    assert not bench.status().passed
    assert "Its record could not be written" in bench.alarms()["challenge_failed"]
    assert bench.status().runs["failed"] == 1
    assert bench.done(REJECT, PASS) == "passed"
    assert [run.result for run in read_runs(bench.folder)] == ["passed", "interrupted"]
    assert bench.status().problem == ""


def test_a_disk_that_stands_still_ends_no_duty(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.start(shifts=["08:00"], grace_min=1.0, on_skipped="hold")
    bench.started()
    bench.part(REJECT)
    bench.part(PASS)
    bench.wait(11)
    hangs, append = threading.Event(), Archive.append
    monkeypatch.setattr(Archive, "append", lambda *arguments: hangs.wait(20) and append(*arguments))
    try:
        assert bench.ask("returned").ok
        bench.wait(2)
        assert bench.status().problem == ""
        assert bench.ready(), "its record has a few seconds"
        bench.wait(10)
        assert bench.status().problem == "The record of the last challenge is not on the disk yet."
        assert not bench.ask("start").ok
        for _ in range(3):
            bench.part(PASS)
            bench.wait(40)
        assert "It was skipped" in bench.alarms()["challenge_due"]
        assert not bench.ready()
    finally:
        hangs.set()
    bench.until(lambda: bench.recorded_last() == "skipped")
    assert (bench.status().runs["passed"], bench.status().runs["skipped"]) == (1, 1)
    assert bench.status().problem == ""
    assert bench.ready()


def test_a_station_that_ends_in_its_midst_has_not_passed(bench: Bench) -> None:
    bench.started()
    bench.part(REJECT)
    bench.close()
    with challenges(bench.rig.config, {}, bench.rig.reports.note) as made:  # as the next start of the process does
        assert made is not None
        assert "interrupted" in made.alarms()["challenge_failed"]
        assert "challenge_failed" in made.holds()
        assert set(made.status().due) == {"failed"}
        assert made.details()["challenge"]["due"] == {"failed": REASONS["failed"]}
    assert "challenge" not in {thread.name for thread in threading.enumerate()}
    assert [run.result for run in read_runs(bench.folder)] == ["interrupted"]


# -- what a station that starts again makes of it ----------------------------------------------------------------------


def clearing(bench: Bench) -> None:
    bench.ask("start")
    bench.until(lambda: bool(bench.recorded_numbers()))


def placing(bench: Bench) -> None:
    bench.started()


def confirming(bench: Bench) -> None:
    bench.started().part(REJECT)
    bench.part(PASS)


def returning(bench: Bench) -> None:
    confirming(bench)
    bench.wait(4)
    assert bench.status().phase == "returning"


@pytest.mark.parametrize("midst", [clearing, placing, confirming, returning])
def test_ended_in_its_midst_it_lets_nobody_in_until_one_is_passed(bench: Bench, midst: Callable[[Bench], None]) -> None:
    """Pieces may be on the belt, and the good one among the good parts: it is held, though a failure alone is not."""
    midst(bench)
    bench.start()
    assert not bench.ready()
    alarm = bench.alarms()["challenge_failed"]
    assert "interrupted. The station ended in its midst. HOLD what has passed" in alarm
    assert "Find all pieces, on both sides of the gate, and repeat it." in alarm
    bench.until(lambda: bench.recorded_last() == "interrupted")
    assert bench.status().runs["interrupted"] == 1
    assert bench.start().made.status().last is not None
    assert not bench.ready(), "nor does the next restart clear it"
    assert bench.done(REJECT, REJECT) == "failed"
    assert not bench.ready(), "a lesser failure does not either"
    assert "Piece clean must pass" in bench.alarms()["challenge_failed"], "and is told beside it"
    assert "in its midst" in bench.alarms()["challenge_failed"]
    assert bench.done(REJECT, PASS) == "passed"
    assert bench.ready()
    assert bench.start().alarms() == {}


@pytest.mark.parametrize(
    ("on_failed", "on_escape", "ready"),
    [("alarm", "alarm", True), ("hold", "alarm", False), ("alarm", "hold", False)],
)
def test_interrupted_counts_as_the_worse_of_the_two(bench: Bench, on_failed: str, on_escape: str, ready: bool) -> None:
    bench.start(on_failed=on_failed, on_escape=on_escape)
    bench.started()
    bench.start()
    assert bench.ready() is ready
    assert "interrupted" in bench.alarms()["challenge_failed"]


def test_an_escape_outlives_a_restart_before_its_record(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.started().part(PASS)
    assert "inspection passed it" in bench.alarms()["challenge_failed"]
    with monkeypatch.context() as patched:
        patched.setattr(challenge_archive, "_write", full)
        patched.setattr("edge.record.challenge_writer.RETRY_S", 0.01)
        bench.start()
        assert not bench.ready()
        bench.until(lambda: bool(bench.status().problem))
        assert bench.status().problem == "No space left on device."
        assert bench.start().ready() is False, "a full disk keeps no station from starting, and lifts nothing"
    bench.start()
    bench.until(lambda: bench.recorded_last() == "interrupted")
    assert bench.done(REJECT, PASS) == "passed"
    assert bench.ready()


def test_where_the_beginning_cannot_be_recorded_no_piece_is_asked_for(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.record.challenge_writer.RETRY_S", 0.01)
    with monkeypatch.context() as patched:
        patched.setattr(challenge_archive, "_write", full)
        bench.ask("start")
        bench.until(lambda: bool(bench.status().problem))
        bench.until(lambda: not bench.made.writing)
    bench.wait(5)
    assert bench.status().phase == ""
    assert "Its record could not be written" in bench.alarms()["challenge_failed"]
    assert list(bench.folder.iterdir()) == []
    assert bench.done(REJECT, PASS) == "passed"


def damaged(folder: Path) -> str:
    path = folder / "00000004.json"
    path.write_bytes(path.read_bytes()[:200])
    return f"{path} is no record"


def another_stations(folder: Path) -> str:
    for path in folder.iterdir():
        path.unlink()
    Archive(folder, read_signer(folder.parent / "key"), "other", 3).append("skipped", {"result": "skipped"})
    return "it is of station other, lane 3"


def rolled_back(folder: Path) -> str:
    for name in ("00000003.json", "00000004.json"):
        (folder / name).unlink()
    return "was noted in the journal, and is not there"


@pytest.mark.parametrize("harm", [damaged, rolled_back, another_stations])
def test_records_that_cannot_be_trusted_hold_the_line_until_one_is_passed(
    tmp_path: Path, harm: Callable[[Path], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.record.challenge_writer.RETRY_S", 0.01)
    write_pair(tmp_path / "key")
    bench = Bench(tmp_path / "records", tmp_path / "key")
    try:
        assert bench.done(REJECT, PASS) == "passed"
        assert bench.done(PASS, PASS) == "escaped"
        bench.noted = [read_entry(bench.folder, number).head for number in (4, 3, 2, 1)]
        words = harm(bench.folder)
        bench.start()
        assert not bench.ready()
        assert words in bench.alarms()["challenge_failed"]
        assert "Then make a challenge: docs/challenge.md." in bench.alarms()["challenge_failed"]
        bench.part(REJECT)
        assert bench.rig.reports.parts[bench.number].verdict == REJECT, "what is on the belt is inspected"
        if harm is another_stations:
            assert bench.ask("start").ok
            bench.until(lambda: "holds records of station other" in bench.status().problem)
            bench.folder = tmp_path / "own"
            bench.start()
            assert not bench.ready(), "it is known from the journal that there were others"
        assert bench.done(REJECT, PASS) == "passed"
        assert bench.ready()
        head = Archive(bench.folder, read_signer(bench.key), bench.rig.config.name, 0).last
        assert head is not None
        bench.noted.insert(0, head.head)
        bench.start()
        assert bench.ready()
        assert bench.alarms() == {}
    finally:
        bench.close()


def test_the_station_asks_its_journal_for_records_that_were_taken_away(bench: Bench, tmp_path: Path) -> None:
    assert bench.done(PASS, PASS) == "escaped"
    journal = tmp_path / "journal"
    config = bench.rig.config.model_copy(update={"journal": cfg.JournalConfig(folder=str(journal))})

    def starts() -> dict[str, str]:
        with challenges(config, {}, bench.rig.reports.note) as made:
            assert made is not None
            return made.alarms()

    assert "escaped" in starts()["challenge_failed"], "a journal that is not there keeps nothing from starting"
    writer = Journal(config.journal, "station", config.name, config.lane)
    for kind, text, data in bench.rig.reports.notes:
        writer.put(Event(kind, text, data, bench.rig.now))
    writer.close()
    heads = [read_entry(bench.folder, number).head for number in (2, 1)]
    assert list(challenge_heads.noted_heads(journal)) == heads
    bench.close()
    for path in bench.folder.iterdir():
        path.unlink()
    assert f"record {heads[0]} was noted in the journal" in starts()["challenge_failed"]
    for path in journal.iterdir():
        path.write_bytes(b"no journal")
    assert starts() == {}, "nor does one that is damaged"


# -- after the verdict -------------------------------------------------------------------------------------------------


def test_rules_are_asked_again_only_for_rejected_pieces_and_after_their_verdict(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, int]] = []

    def fired(*_: object) -> frozenset[str]:
        told.append((bench.number, len([m for m in bench.rig.heard() if isinstance(m, wire.Verdict)])))
        return frozenset({"pit"})

    monkeypatch.setattr("edge.station.challenge.fired_classes", fired)
    bench.part(REJECT)
    bench.started()
    bench.rig.heard()
    bad = bench.part(REJECT)
    bench.part(PASS)
    bench.part(REJECT)
    assert told == [(bad, 1)], "its verdict was sent before"


def test_what_is_said_under_another_session_proves_nothing_of_a_piece(bench: Bench) -> None:
    bench.started()
    piece = bench.part(REJECT, "")
    for session, fact, gate in ((1, "rejected", ""), (0, "rejected", "rejected"), (1, "good", "rejected")):
        bench.made.heard(wire.Gated(session=bench.rig.session + session, part=piece, fact=fact), bench.rig.now)
        assert bench.status().pieces[0].gate == gate
    assert "challenge_failed" not in bench.alarms(), "the last one is another part: this one met the gate"


@pytest.mark.parametrize(("fact", "words"), [("good", "the gate was open"), ("contradicted", "seen on the good side")])
def test_an_escape_counts_under_whatever_session_it_is_told(bench: Bench, fact: str, words: str) -> None:
    """The gateway ends the session for the first piece that its sensor contradicts; the next ones come later."""
    bench.started()
    piece = bench.part(REJECT, "")
    bench.made.heard(wire.Gated(session=bench.rig.session + 1, part=piece, fact=fact), bench.rig.now)
    assert words in bench.alarms()["challenge_failed"]


# -- configuration of none ---------------------------------------------------------------------------------------------


def test_without_a_folder_there_are_no_challenges_and_nothing_is_opened() -> None:
    with challenges(Rig().config, {}, print) as made:
        assert made is None


# -- configuration -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sections", "word"),
    [
        ({"key": None}, "folder needs key"),
        ({"pieces": PIECES[:1]}, "must fail"),
        ({"pieces": PIECES[1:]}, "must fail"),
        ({"pieces": (*PIECES, PIECES[0])}, "twice"),
        ({"pieces": ({"name": "x", "expect": "pass", "classes": ["pit"]},)}, "cannot show"),
        ({"shifts": ["24:00"]}, "shifts"),
        ({"on_escape": "off"}, "on_escape"),
    ],
)
def test_a_configuration_that_would_prove_nothing_is_refused(sections: dict[str, Any], word: str) -> None:
    values = {"folder": "/f", "key": "/k", "pieces": PIECES, **sections}
    with pytest.raises(ConfigError, match=word):
        cfg.parse({"recipe": {"rules": [{"name": "any"}]}, "challenge": values}, StationConfig, "test")


def test_without_a_gateway_there_is_nobody_to_confirm() -> None:
    values = {"recipe": {"rules": [{"name": "any"}]}, "gateway": {"endpoint": "none"}}
    challenge = {"folder": "/f", "key": "/k", "pieces": PIECES}
    with pytest.raises(ConfigError, match=r"gateway\.endpoint"):
        cfg.parse({**values, "challenge": challenge}, StationConfig, "test")


def test_the_gateway_is_asked_for_the_gates_word_only_where_it_is_needed(bench: Bench) -> None:
    def asked(rig: Rig) -> list[bool]:
        rig.station.work()
        return [m.wants_gate for m in rig.heard() if isinstance(m, wire.Hello)]

    assert asked(Rig()) == [False]
    assert asked(Rig(challenge=bench.rig.config.challenge)) == [True]

"""The committed recording through the production code: the same verdicts, and red where something decides otherwise."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import msgspec
import pytest

from edge.commands import replay_station
from edge.commands.processes import MODELS
from edge.commands.replay import Changes, Comparison, compare, run
from edge.commands.replay_station import Replayed, replay
from edge.config import StationConfig, parse
from edge.core.match import Kind, Match, Matcher
from edge.core.part import FrameInfo
from edge.core.pool import Frame
from edge.errors import RecordingError, ReplayMismatch
from edge.record.recording import FRAMES, Framed, Recording, write_header
from edge.station.build import Deciding, deciding

SYNTHETIC = Path(__file__).parent / "synthetic"
PACKAGE = MODELS / "sim-strip"

ORIGINAL = Recording(SYNTHETIC)
assert ORIGINAL.header.lead_in_ns is not None
PARTS = {part.part: part for part in ORIGINAL.reference if part.t0_ns > ORIGINAL.header.lead_in_ns}
FRAMES_BY_COUNTER = {
    line.info.counter: line.frame for turn in ORIGINAL.turns() for line in turn.lines if isinstance(line, Framed)
}
REJECT = next(number for number, part in PARTS.items() if part.outcome == "REJECT")
FAINT = [n for n, part in PARTS.items() if part.findings and max(f.score for f in part.findings) < 0.7]
"""Parts that a recipe with 0.7 lets pass."""


def frame_of(part: int) -> int:
    """Return the number of a part's frame within the recording."""
    counter = PARTS[part].frame
    assert counter is not None
    return FRAMES_BY_COUNTER[counter]


@pytest.fixture(scope="module")
def config() -> StationConfig:
    values = Recording(SYNTHETIC).header.config
    return parse({**values, "model": {"package": str(PACKAGE), "engine": "onnxruntime"}}, StationConfig, "synthetic")


@pytest.fixture(scope="module")
def decides(config: StationConfig) -> Iterator[Deciding]:
    with deciding(config) as result:
        yield result


@pytest.fixture
def loaded(decides: Deciding, monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the command to load what decides: it is loaded already."""
    monkeypatch.setattr("edge.commands.replay.deciding", lambda _: nullcontext(decides))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SYNTHETIC, tmp_path / "recording"))


def lead_in_ns(recording: Recording) -> int:
    """Return the end of its lead-in."""
    assert recording.header.lead_in_ns is not None
    return recording.header.lead_in_ns


def replayed(config: StationConfig, decides: Deciding, folder: Path = SYNTHETIC) -> tuple[Comparison, Replayed]:
    """Replay, and compare what one engine gives with what another gave."""
    recording = Recording(folder)
    result = replay(recording, config, decides)
    return compare(recording.reference, result, lead_in_ns(recording), same=True, floor=0.5), result


def test_the_recording_holds_every_end_that_it_was_made_for() -> None:
    assert len(PARTS) > 20
    assert len(FAINT) > 1
    assert {part.cause for part in PARTS.values()} == {
        "clean",
        "rule",
        "frame_missing",
        "frame_corrupt",
        "trigger_lost",
    }
    assert sum(path.stat().st_size for path in SYNTHETIC.rglob("*")) < 500_000


def test_it_comes_to_the_recorded_verdicts(config: StationConfig, decides: Deciding) -> None:
    comparison, result = replayed(config, decides)
    assert comparison.differences == []
    assert (comparison.compared, comparison.unseen) == (len(PARTS), 0)
    assert {part.part for part in result.parts} >= set(PARTS)


def test_a_replay_twice_gives_the_same(config: StationConfig, decides: Deciding) -> None:
    assert replayed(config, decides)[1].parts == replayed(config, decides)[1].parts


def test_the_command_runs_it_as_it_was_recorded() -> None:
    report = run(SYNTHETIC, Changes(package=PACKAGE, engine="onnxruntime"))
    report.refuse()
    assert report.as_dict()["compared"] == len(PARTS)
    assert "as recorded" in str(report)


# -- each of these turns it red --------------------------------------------------------------------------------------


def test_another_score_in_a_rule_turns_it_red(config: StationConfig, decides: Deciding) -> None:
    rule = config.recipe.rules[0].model_copy(update={"min_score": 0.7})
    changed = config.model_copy(update={"recipe": config.recipe.model_copy(update={"rules": (rule,)})})
    comparison, _ = replayed(changed, decides)
    assert [(d.part, d.was, d.now) for d in comparison.differences if d.what == "verdict"] == [
        (part, "REJECT rule any defect", "PASS clean") for part in FAINT
    ]


def test_a_matcher_that_goes_by_order_turns_it_red(
    config: StationConfig, decides: Deciding, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ByOrder(Matcher):
        def _find(self, info: FrameInfo) -> Match:
            return Match(Kind.MATCHED, info, (min(self._waiting),)) if self._waiting else Match(Kind.STRAY, info)

    monkeypatch.setattr(replay_station, "frame_matcher", lambda _: ByOrder(1_000_000, 25_000_000, 1))
    comparison, _ = replayed(config, decides)
    assert [(d.part, d.what, d.was, d.now) for d in comparison.differences] == [
        (1043, "frame", "119", "None"),  # its trigger came after its frame
        (1043, "verdict", "REJECT rule any defect", "NO_DECISION frame_missing"),
        (1044, "frame", "120", "None"),
        (1044, "verdict", "PASS clean", "NO_DECISION frame_missing"),
    ]


def test_frames_that_are_exchanged_turn_it_red(
    config: StationConfig, decides: Deciding, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, one, other = Recording.frame, frame_of(REJECT), frame_of(REJECT + 1)  # a pass
    swap = {one: other, other: one}

    def exchanged(self: Recording, number: int, color: str) -> Frame | None:
        return whole(self, swap.get(number, number), color)

    monkeypatch.setattr(Recording, "frame", exchanged)
    comparison, _ = replayed(config, decides)
    assert [(d.part, d.what, d.now) for d in comparison.differences] == [
        (REJECT, "verdict", "PASS clean"),
        (REJECT + 1, "verdict", "REJECT rule any defect"),
    ]


def test_files_that_are_exchanged_are_refused(config: StationConfig, decides: Deciding, copy: Path) -> None:
    one, other = copy / FRAMES / "000002.png", copy / FRAMES / "000003.png"
    held = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(held)
    with pytest.raises(RecordingError, match=r"000002\.png does not hold the frame that was recorded"):
        replayed(config, decides, copy)


def test_a_shorter_patience_for_frames_turns_it_red(config: StationConfig, decides: Deciding) -> None:
    limits = config.limits.model_copy(update={"frame_timeout_ms": 0.5})
    comparison, _ = replayed(config.model_copy(update={"limits": limits}), decides)
    assert {d.now for d in comparison.differences if d.what == "verdict"} == {"NO_DECISION frame_missing"}
    assert len(comparison.differences) > 10


def test_a_loop_that_forgets_lost_triggers_turns_it_red(
    config: StationConfig, decides: Deciding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.core.ledger.PartLedger.lose", lambda *_: [])
    comparison, _ = replayed(config, decides)
    assert [(d.part, d.what) for d in comparison.differences] == [(1041, "missing")]


# -- the command -----------------------------------------------------------------------------------------------------


def recipe_file(folder: Path, min_score: float) -> Path:
    """Write a station.toml of the recording's camera with another recipe."""
    path = folder / "station.toml"
    path.write_text(
        f'[camera]\nwidth = 160\nheight = 128\n[model]\npackage = "{PACKAGE}"\nengine = "onnxruntime"\n[line]\n'
        f"speed_min_mm_s = 1000\nspeed_max_mm_s = 1000\n"
        f'[recipe]\nname = "strict"\nrules = [{{ name = "any defect", min_score = {min_score} }}]\n'
    )
    return path


@pytest.mark.usefixtures("loaded")
def test_an_unwanted_change_is_refused_and_a_wanted_one_accepted(tmp_path: Path, copy: Path) -> None:
    changes = Changes(config=recipe_file(tmp_path, 0.7))
    before = (copy / "reference.jsonl").read_bytes()
    report = run(copy, changes)
    with pytest.raises(
        ReplayMismatch, match=f"differences in {len(PARTS)} parts compared, the first: part {FAINT[0]}"
    ) as refused:
        report.refuse()
    assert refused.value.exit_code == 22
    assert (copy / "reference.jsonl").read_bytes() == before

    run(copy, changes, update=True).refuse()
    again = run(copy, Changes())  # the recording now holds the configuration that was accepted
    again.refuse()
    assert again.comparison.compared == len(PARTS)
    header = Recording(copy).header
    assert [(a.differences, a.decider.engine) for a in header.accepted] == [
        (len(report.comparison.differences), "onnxruntime")
    ]


def commanded(folder: Path, min_score: float, at: int) -> None:
    """Add the command of another recipe in front of a part's trigger."""
    events = folder / "events.jsonl"
    recipe = json.loads((folder / "recording.json").read_text())["config"]["recipe"]
    recipe["rules"][0]["min_score"] = min_score
    lines = events.read_text().splitlines()
    place = next(i for i, line in enumerate(lines) if f'"number":{at},' in line)
    command = {"type": "recipe", "at_ns": PARTS[at].t0_ns, "recipe": recipe | {"name": "commanded"}}
    events.write_text("\n".join([*lines[:place], json.dumps(command), *lines[place:]]) + "\n")


@pytest.mark.usefixtures("loaded")
def test_a_recipe_that_was_accepted_holds_throughout_from_then_on(tmp_path: Path, copy: Path) -> None:
    commanded(copy, 0.99, FAINT[0])
    run(copy, Changes(config=recipe_file(tmp_path, 0.5)), update=True)
    report = run(copy, Changes())
    report.refuse()
    assert report.comparison.compared == len(PARTS)
    assert {part.recipe for part in Recording(copy).reference} == {"strict"}


@pytest.mark.usefixtures("loaded")
def test_another_recipe_in_force_is_a_difference(copy: Path) -> None:
    commanded(copy, 0.5, FAINT[0])  # the same limit, under another name
    report = run(copy, Changes(package=PACKAGE, engine="onnxruntime"))
    assert {(d.what, d.was, d.now) for d in report.comparison.differences} == {("recipe", "synthetic", "commanded")}


@pytest.mark.usefixtures("loaded")
def test_less_than_half_compared_is_no_success(copy: Path) -> None:
    recording = Recording(copy)
    t0_ns = sorted(part.t0_ns for part in recording.reference)
    changes = Changes(package=PACKAGE, engine="onnxruntime")
    for lead_in, enough in ((len(t0_ns) // 2, True), (len(t0_ns) // 2 + 1, False)):
        write_header(copy, msgspec.structs.replace(recording.header, lead_in_ns=t0_ns[lead_in - 1]))
        report = run(copy, changes)
        assert report.comparison.differences == []
        if enough:
            report.refuse()
        else:
            with pytest.raises(RecordingError, match=rf"Only \d+ of the {len(t0_ns)} parts"):
                report.refuse()
            with pytest.raises(RecordingError, match=r"Only \d+ of the"):
                run(copy, changes, update=True)


@pytest.mark.usefixtures("loaded")
@pytest.mark.parametrize("steps", range(3))
def test_an_acceptance_that_is_interrupted_is_whole_or_was_not(
    steps: int, tmp_path: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is interrupted before each replacing of a file."""
    rename, done = Path.replace, 0

    def interrupted(self: Path, target: Path) -> Path:
        nonlocal done
        if done == steps:
            raise KeyboardInterrupt
        done += 1
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(copy, Changes(config=recipe_file(tmp_path, 0.7)), update=True)
    recording = Recording(copy)
    assert len(recording.header.accepted) == (steps == 2)
    outcomes = {part.part: part.outcome for part in recording.reference}
    assert outcomes[FAINT[0]] == ("PASS" if steps == 2 else "REJECT")
    run(copy, Changes(config=recipe_file(tmp_path, 0.7)), update=True)
    assert len(Recording(copy).header.accepted) == (2 if steps == 2 else 1)
    assert not list(copy.glob("*.part"))


@pytest.mark.usefixtures("loaded")
def test_frames_of_another_shape_are_refused(tmp_path: Path, copy: Path) -> None:
    path = recipe_file(tmp_path, 0.5)
    path.write_text(path.read_text().replace("width = 160", "width = 192"))
    with pytest.raises(RecordingError, match=r"shape \(128, 160\), and the station's are \(128, 192\)"):
        run(copy, Changes(config=path))


def test_parts_whose_pixels_were_not_kept_are_not_compared(
    config: StationConfig, decides: Deciding, copy: Path
) -> None:
    events = copy / "events.jsonl"
    lines = [line for line in events.read_text().splitlines() if f'"kept","frame":{frame_of(REJECT)},' not in line]
    events.write_text("\n".join(lines))
    comparison, _ = replayed(config, decides, copy)
    assert (comparison.compared, comparison.unseen, comparison.differences) == (len(PARTS) - 1, 1, [])


@pytest.mark.usefixtures("loaded")
def test_a_recording_of_which_nothing_can_be_compared_is_no_success(copy: Path) -> None:
    header = Recording(copy).header
    write_header(copy, msgspec.structs.replace(header, lead_in_ns=1 << 62))
    with pytest.raises(RecordingError, match="no part that can be compared"):
        run(copy, Changes(package=PACKAGE, engine="onnxruntime"))


def test_a_recipe_that_was_commanded_meanwhile_is_commanded_again(
    config: StationConfig, decides: Deciding, copy: Path
) -> None:
    events = copy / "events.jsonl"
    lines = events.read_text().splitlines()
    strict = config.recipe.model_copy(
        update={"name": "strict", "rules": (config.recipe.rules[0].model_copy(update={"min_score": 0.7}),)}
    )
    at = next(i for i, line in enumerate(lines) if f'"number":{FAINT[-1]},' in line)
    command = {"type": "recipe", "at_ns": PARTS[FAINT[-1]].t0_ns, "recipe": strict.model_dump(mode="json")}
    events.write_text("\n".join([*lines[:at], json.dumps(command), *lines[at:]]))
    _, result = replayed(config, decides, copy)
    parts = {part.part: part for part in result.parts}
    assert (parts[FAINT[-1]].recipe, parts[FAINT[-1]].outcome) == ("strict", "PASS")
    assert (parts[FAINT[0]].recipe, parts[FAINT[0]].outcome) == ("synthetic", "REJECT")  # triggered before it
    own = replay(Recording(copy), config, decides, own_recipe=True)
    assert {part.part: part.outcome for part in own.parts}[FAINT[-1]] == "REJECT"


def test_a_new_part_is_a_difference(config: StationConfig, decides: Deciding) -> None:
    recording = Recording(SYNTHETIC)
    result = replay(recording, config, decides)
    without = [part for part in recording.reference if part.part != 1040]
    comparison = compare(without, result, lead_in_ns(recording), same=True, floor=0.5)
    assert [(d.part, d.what, d.now) for d in comparison.differences] == [(1040, "new", "PASS clean")]

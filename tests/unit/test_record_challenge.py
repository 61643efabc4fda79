"""Signed records of challenges: whatever is done to the folder afterwards shows."""

from __future__ import annotations

import base64
import json
import os
import shutil
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.errors import ChallengeError, ConfigError
from edge.record.challenge import DOMAIN, GENESIS, Document, Entry, read_entry, read_runs
from edge.record.challenge_archive import Archive
from edge.record.challenge_keys import Verifier, read_signer, write_pair
from edge.record.challenge_verify import verify
from edge.record.challenge_writer import ChallengeWriter, Written
from tests.support_tools import need

FAULT = {"name": "rejected", "piece": "good", "text": "Piece good must pass, and was not.", "remedy": "Look."}
PIECES = [{"name": "bad", "part": 7}, {"name": "good", "part": 8}]


def an_end(result: str, *faults: dict[str, str]) -> dict[str, Any]:
    return {"result": result, "operator": "anna", "faults": list(faults), "pieces": PIECES, "score": 0.1234}


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "challenge.key"
    write_pair(path)
    return path


@pytest.fixture
def verifier(key: Path) -> Verifier:
    return Verifier([key.with_name("challenge.key.pub")])


def archive(folder: Path, key: Path, station: str = "station-1") -> Archive:
    return Archive(folder, read_signer(key), station, 0)


@pytest.fixture
def folder(tmp_path: Path, key: Path) -> Path:
    """Three challenges, one of them skipped: five entries."""
    made = archive(tmp_path / "records", key)
    for result in ("passed", "failed"):
        made.append("begun", {"operator": "anna"})
        made.append("ended", an_end(result, *([FAULT] if result == "failed" else [])))
    made.append("skipped", {"result": "skipped", "due": {}, "faults": [], "pieces": []})
    return tmp_path / "records"


def problems(folder: Path, verifier: Verifier, *noted: str) -> str:
    return "\n".join(verify(folder, verifier, noted).problems)


def test_what_was_appended_is_there_chained_and_signed(folder: Path, verifier: Verifier) -> None:
    found = verify(folder, verifier)
    assert (found.problems, found.entries) == ([], 5)
    first, second = read_entry(folder, 1), read_entry(folder, 2)
    assert first.previous == GENESIS
    assert second.previous == first.sha256()
    assert found.head == f"5:{read_entry(folder, 5).sha256()}"
    assert [(r.number, r.result, r.pieces_ok, r.pieces) for r in read_runs(folder)] == [
        (5, "skipped", 0, 0),
        (4, "failed", 1, 2),
        (2, "passed", 2, 2),
    ]
    assert read_runs(folder, 1)[0].number == 5


def test_the_chain_goes_on_after_a_restart(folder: Path, key: Path, verifier: Verifier) -> None:
    again = archive(folder, key)
    assert again.last is not None
    assert again.last.number == 5
    assert again.last_passed is not None
    assert again.last_passed.number == 2
    assert again.since_passed == ["skipped", "failed"]
    again.append("begun", {"operator": "ben"})
    again.append("ended", an_end("passed"))
    assert again.since_passed == []
    assert problems(folder, verifier) == ""


def test_a_challenge_that_a_killed_process_took_with_it_shows(folder: Path, key: Path, verifier: Verifier) -> None:
    archive(folder, key).append("begun", {"operator": "ben"})
    again = archive(folder, key)
    again.recover()
    again.recover()
    assert again.last is not None
    assert (again.last.number, again.last.data["result"], again.last.data["operator"]) == (7, "interrupted", "ben")
    assert again.since_passed[0] == "interrupted"
    assert problems(folder, verifier) == ""


def test_an_end_without_a_begin_is_refused_and_a_begin_ends_what_was_open(
    folder: Path, key: Path, verifier: Verifier
) -> None:
    made = archive(folder, key)
    with pytest.raises(ChallengeError, match="begin was not recorded"):
        made.append("ended", an_end("passed"))
    made.append("begun", {"operator": "a"})
    made.append("begun", {"operator": "b"})
    assert [read_entry(folder, n).kind for n in (6, 7, 8)] == ["begun", "ended", "begun"]
    assert problems(folder, verifier) == ""


def test_two_writers_never_overwrite_each_other(folder: Path, key: Path, verifier: Verifier) -> None:
    one, other = archive(folder, key), archive(folder, key)
    one.append("begun", {})
    before = (folder / "00000006.json").read_bytes()
    with pytest.raises(ChallengeError, match="another process"):
        other.append("begun", {})
    assert (folder / "00000006.json").read_bytes() == before
    assert problems(folder, verifier) == ""


# -- what is found -----------------------------------------------------------------------------------------------------


def rewrite(path: Path, change: Callable[[dict[str, Any]], None], resign: Path | None = None) -> None:
    """Change a file as somebody would who knows the format, and sign it with the key at ``resign``, if given."""
    document = json.loads(path.read_bytes())
    change(document["entry"])
    entry = Entry(**document["entry"])
    signature = document["signature"]
    if resign is not None:
        signature = base64.b64encode(read_signer(resign).sign(DOMAIN + entry.canonical())).decode()
    path.write_bytes(Document(entry, entry.sha256(), signature).rendered())


def test_another_result_with_a_hash_that_fits_is_found_by_its_signature(folder: Path, verifier: Verifier) -> None:
    rewrite(folder / "00000004.json", lambda e: e["data"].update(result="passed", faults=[]))
    assert "00000004.json: the signature does not fit" in problems(folder, verifier)
    assert "00000005.json: it does not continue entry 4" in problems(folder, verifier)


def test_the_newest_one_changed_and_signed_with_another_key_is_found(
    folder: Path, verifier: Verifier, tmp_path: Path
) -> None:
    write_pair(tmp_path / "other.key")
    rewrite(folder / "00000005.json", lambda e: e["data"].update(result="passed"), tmp_path / "other.key")
    assert "the signature does not fit" in problems(folder, verifier), "it claims the first key"
    other = read_signer(tmp_path / "other.key").fingerprint
    rewrite(folder / "00000005.json", lambda e: e.update(key=other), tmp_path / "other.key")
    assert f"signed with key {other}, which was not given" in problems(folder, verifier)


def test_a_key_may_be_renewed(folder: Path, key: Path, tmp_path: Path, verifier: Verifier) -> None:
    public, _ = write_pair(tmp_path / "new.key")
    archive(folder, tmp_path / "new.key").append("begun", {})
    assert "which was not given" in problems(folder, verifier)
    assert problems(folder, Verifier([key.with_name("challenge.key.pub"), public])) == ""


def test_a_key_that_was_replaced_signs_nothing_more(folder: Path, key: Path, tmp_path: Path) -> None:
    """Keys are changed when somebody else may know the old one."""
    public, fingerprint = write_pair(tmp_path / "new.key")
    archive(folder, tmp_path / "new.key").append("begun", {})
    archive(folder, key).append("ended", an_end("passed"))
    archive(folder, tmp_path / "new.key").append("begun", {})
    old = read_signer(key).fingerprint
    found = problems(folder, Verifier([key.with_name("challenge.key.pub"), public]))
    assert found == f"{folder / '00000007.json'}: signed with key {old}, which entry 6 replaced."
    assert fingerprint != old


def test_a_folder_that_was_emptied_is_no_good_folder(folder: Path, verifier: Verifier) -> None:
    for path in folder.iterdir():
        path.unlink()
    assert "it holds no record" in problems(folder, verifier)
    assert verify(folder, verifier, allow_empty=True).problems == []


def test_an_end_as_the_first_entry_is_found(tmp_path: Path, key: Path, verifier: Verifier) -> None:
    archive(tmp_path, key).append("skipped", {"result": "skipped"})
    assert problems(tmp_path, verifier) == ""
    rewrite(tmp_path / "00000001.json", lambda e: e.update(kind="ended"), key)
    assert "it ends a challenge that never began" in problems(tmp_path, verifier)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_one_that_is_taken_away_is_missed(folder: Path, verifier: Verifier, number: int) -> None:
    (folder / f"{number:08d}.json").unlink()
    assert f"entry {number + 1}" in problems(folder, verifier)


def test_the_newest_taken_away_are_missed_where_the_head_was_noted(folder: Path, verifier: Verifier) -> None:
    head = verify(folder, verifier).head
    (folder / "00000005.json").unlink()
    assert problems(folder, verifier) == "", "the chain alone cannot show it"
    assert f"record {head} was noted, and is not there" in problems(folder, verifier, head)


def test_two_that_changed_places_are_found(folder: Path, verifier: Verifier) -> None:
    one, other, aside = folder / "00000002.json", folder / "00000004.json", folder / "aside"
    one.rename(aside)
    other.rename(one)
    aside.rename(other)
    assert "it holds entry 4" in problems(folder, verifier)
    for path, number in ((one, 2), (other, 4)):  # and with numbers that fit
        rewrite(path, lambda e, number=number: e.update(number=number))  # type: ignore[misc]
    assert "the signature does not fit" in problems(folder, verifier)


def test_a_renumbered_tail_does_not_close_a_gap(folder: Path, key: Path, verifier: Verifier) -> None:
    """Even whoever holds the key must forge all that follows: `head` shows that."""
    (folder / "00000003.json").unlink()
    (folder / "00000004.json").unlink()
    (folder / "00000005.json").rename(folder / "00000003.json")
    rewrite(folder / "00000003.json", lambda e: e.update(number=3), key)
    assert "it does not continue entry 2" in problems(folder, verifier)


def test_a_record_of_another_folder_is_found(folder: Path, key: Path, tmp_path: Path, verifier: Verifier) -> None:
    other = archive(tmp_path / "other", key, "station-2")
    for _ in range(3):
        other.append("begun", {})
    shutil.copy(tmp_path / "other" / "00000005.json", folder / "00000005.json")
    found = problems(folder, verifier)
    assert "it does not continue entry 4" in found
    assert "it is of station station-2" in found


def test_what_is_read_as_one_thing_and_looks_like_another_is_found(folder: Path, verifier: Verifier) -> None:
    path = folder / "00000004.json"
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"result": "failed"', b'"result": "passed", "result": "failed"'))
    assert "not as it was written" in problems(folder, verifier)
    path.write_bytes(data + b" ")
    assert "not as it was written" in problems(folder, verifier)


def test_strange_files_are_named(folder: Path, verifier: Verifier) -> None:
    (folder / "00000006.json.bak").write_text("{}")
    assert "00000006.json.bak: this is no record" in problems(folder, verifier)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 5), st.data())
def test_no_single_byte_can_be_changed(folder: Path, verifier: Verifier, number: int, data: st.DataObject) -> None:
    path = folder / f"{number:08d}.json"
    good = path.read_bytes()
    at = data.draw(st.integers(0, len(good) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != good[at]))
    try:
        path.write_bytes(good[:at] + bytes([byte]) + good[at + 1 :])
        assert problems(folder, verifier) != ""
    finally:
        path.write_bytes(good)
    assert problems(folder, verifier) == ""


@pytest.mark.deploy
def test_openssl_agrees_with_the_signature(folder: Path, key: Path, tmp_path: Path) -> None:
    """The records outlive this program: docs/challenge.md says how others check them."""
    need("openssl", "openssl")
    document = json.loads((folder / "00000002.json").read_bytes())
    canonical = json.dumps(document["entry"], sort_keys=True, separators=(",", ":")).encode()
    (tmp_path / "data").write_bytes(DOMAIN + canonical)
    (tmp_path / "signature").write_bytes(base64.b64decode(document["signature"]))
    done = subprocess.run(
        [
            *("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", f"{key}.pub", "-rawin"),
            *("-in", str(tmp_path / "data"), "-sigfile", str(tmp_path / "signature")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# -- what a process that starts believes -------------------------------------------------------------------------------


def test_what_is_as_it_was_written_is_believed(folder: Path, key: Path) -> None:
    made = archive(folder, key)
    made.compare([read_entry(folder, 5).head, read_entry(folder, 3).head, "2:of the time before"])
    assert made.problems == []
    assert archive(folder.parent / "none", key).problems == []


def test_what_another_key_signed_ends_no_escape(folder: Path, key: Path) -> None:
    """Whether such a signature fits cannot be told without that key's public half: any 64 bytes would do."""
    archive(folder, key).append("begun", {})
    archive(folder, key).append("ended", an_end("escaped"))
    for number, kind, data in ((8, "begun", {}), (9, "ended", an_end("passed"))):
        before = read_entry(folder, number - 1)
        entry = Entry(number, before.sha256(), kind, before.wall, before.wall_ms, "station-1", 0, "00", data)
        signature = base64.b64encode(b"x" * 64).decode()
        path = folder / f"{number:08}.json"
        path.write_bytes(Document(entry, entry.sha256(), signature).rendered())
    made = archive(folder, key)
    assert made.problems == [f"{path}: it is signed with another key than challenge.key."]
    assert made.append("skipped", {"result": "skipped"}).previous == entry.sha256(), "the chain goes on"


def forge(path: Path) -> None:
    rewrite(path, lambda e: e["data"].update(result="passed"))


def swap(path: Path) -> None:
    path.write_bytes(path.with_name("00000002.json").read_bytes())


def replace_by_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "is no record": lambda path: path.write_bytes(path.read_bytes()[:100]),
    "cannot be read": replace_by_a_folder,
    "not as it was written": lambda path: path.write_bytes(path.read_bytes() + b" "),
    "the signature does not fit": forge,
    "it holds entry 2": swap,
}


@pytest.mark.parametrize("number", [3, 4, 5])
@pytest.mark.parametrize("word", DAMAGE)
def test_what_is_damaged_is_named_and_the_chain_goes_on(
    folder: Path, key: Path, verifier: Verifier, word: str, number: int
) -> None:
    path = folder / f"{number:08d}.json"
    DAMAGE[word](path)
    made = archive(folder, key)
    assert any(str(path) in problem and word in problem for problem in made.problems)
    assert made.last_passed is not None
    assert made.last_passed.number == 2
    assert (made.append("begun", {}).number, made.append("ended", an_end("passed")).number) == (6, 7)
    again = archive(folder, key)
    assert again.problems == [], "what was before one that was passed does not count any more"
    found = verify(folder, verifier).problems
    assert found
    assert not any("00000007" in problem for problem in found)


def test_the_next_entry_continues_the_damaged_ones_bytes(folder: Path, key: Path) -> None:
    path = folder / "00000005.json"
    path.write_bytes(b"{")
    made = archive(folder, key)
    assert made.last is None
    assert made.append("begun", {}).previous == "021fb596db81e6d02bf3d2586ee3981fe519f275c0ac9ca76bbcf2ebb4097d96"


@pytest.mark.parametrize(("gone", "named"), [((4,), 4), ((3, 4), 4), ((1, 2), 2), ((2, 3, 4), 4)])
def test_what_is_missing_is_named(folder: Path, key: Path, gone: tuple[int, ...], named: int) -> None:
    for number in gone:
        (folder / f"{number:08d}.json").unlink()
    assert f"{folder}: record {named} is not there." in archive(folder, key).problems


def test_one_of_another_time_in_its_place_is_named(folder: Path, key: Path) -> None:
    """It is sound and signed by this station, as from an older backup of the folder."""
    rewrite(folder / "00000004.json", lambda e: e["data"].update(result="aborted", faults=[]), key)
    assert archive(folder, key).problems == [f"{folder / '00000004.json'}: record 5 does not continue it."]


def test_the_newest_taken_away_are_missed_by_what_was_noted(folder: Path, key: Path) -> None:
    noted = [read_entry(folder, number).head for number in (5, 4, 3, 2, 1)]
    for number in (3, 4, 5):
        (folder / f"{number:08d}.json").unlink()
    made = archive(folder, key)
    assert made.problems == [], "the chain alone cannot show it"
    made.compare(noted)
    assert made.problems == [f"{folder}: record {noted[0]} was noted in the journal, and is not there."]
    entry = made.append("skipped", {"result": "skipped"})
    again = archive(folder, key)
    again.compare([entry.head, *noted])
    assert f"record {noted[0]} was noted" in again.problems[0], "a further record does not cover it up"
    last = made.append("begun", {}), made.append("ended", an_end("passed"))
    again = archive(folder, key)
    again.compare([last[1].head, last[0].head, entry.head, *noted])
    assert again.problems == []


def test_the_records_of_another_station_are_neither_believed_nor_continued(folder: Path, key: Path) -> None:
    made = archive(folder, key, "station-2")
    assert made.last_passed is None
    assert "it is of station station-1, lane 0" in made.problems[0]
    with pytest.raises(ChallengeError, match="holds records of station station-1, lane 0") as raised:
        made.append("begun", {})
    assert "a folder of its own" in raised.value.remedy
    assert len(list(folder.iterdir())) == 5


def test_a_file_that_cannot_be_read_hides_no_other_from_people(folder: Path) -> None:
    (folder / "00000004.json").write_bytes(b"{")
    assert [run.number for run in read_runs(folder)] == [5, 2]


# -- keys and disks ----------------------------------------------------------------------------------------------------


def test_a_key_is_its_owners_alone_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "a.key"
    public, fingerprint = write_pair(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_signer(path).fingerprint == fingerprint
    with pytest.raises(ConfigError, match="exists"):
        write_pair(path)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="0640"):
        read_signer(path)
    for wrong in (public, tmp_path / "none"):
        with pytest.raises(ConfigError, match="Remedy"):
            read_signer(wrong)
    with pytest.raises(ConfigError, match="no Ed25519 public key"):
        Verifier([path])


def test_a_folder_that_cannot_be_used_is_named_and_tried_again(key: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    made = archive(tmp_path / "file" / "records", key)
    assert "cannot be made" in made.problems[0]
    with pytest.raises(ChallengeError, match="cannot be made"):
        made.append("begun", {})
    (tmp_path / "file").unlink()
    assert made.append("begun", {}).number == 1, "it is looked at again each time"


def test_a_write_that_fails_leaves_no_half_record(folder: Path, key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = archive(folder, key)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(ChallengeError, match="No space left"):
            made.append("begun", {})
    assert not (folder / "00000006.json").exists()
    (folder / ".00000006.writing").unlink(missing_ok=True)
    assert made.append("begun", {}).number == 6


@pytest.mark.parametrize("fails", [1, 3])
def test_a_write_that_failed_after_its_file_was_there_is_no_other_process(
    folder: Path, key: Path, verifier: Verifier, monkeypatch: pytest.MonkeyPatch, fails: int
) -> None:
    made, data, sync = archive(folder, key), {"operator": "anna"}, os.fsync

    def broken(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(5, "Input/output error")
        sync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", broken)
        for _ in range(fails):
            with pytest.raises(ChallengeError, match="Input/output error"):
                made.append("begun", data)
    assert made.append("begun", data).number == 6, "the same one, and once"
    assert made.append("ended", an_end("passed")).number == 7
    assert problems(folder, verifier) == ""


def test_a_begin_that_was_given_up_and_is_there_gets_its_end(
    folder: Path, key: Path, verifier: Verifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = archive(folder, key)
    with monkeypatch.context() as patched:
        patched.setattr("edge.record.challenge_archive.unix.sync", lambda folder: os.stat(folder / "none"))
        with pytest.raises(ChallengeError, match="No such file"):
            made.append("begun", {"operator": "anna"})
    made.append("begun", {"operator": "ben"})
    assert [read_entry(folder, n).kind for n in (6, 7, 8)] == ["begun", "ended", "begun"]
    assert read_entry(folder, 7).data["result"] == "interrupted"
    assert problems(folder, verifier) == ""


def written(writer: ChallengeWriter, count: int) -> list[Written]:
    done: list[Written] = []
    for _ in range(500):
        done += writer.take()
        if len(done) >= count:
            return done
        threading.Event().wait(0.01)
    raise AssertionError(f"{len(done)} of {count} entries after 5 s")


def test_the_writer_keeps_the_order_and_says_what_it_could_not_write(
    folder: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.record.challenge_writer.RETRY_S", 0.01)
    writer = ChallengeWriter(archive(folder, key))
    writer.put("begun", {"operator": "a"})
    writer.put("ended", an_end("passed"))
    writer.put("ended", an_end("passed"))
    done = written(writer, 3)
    assert [(w.kind, w.entry.number if w.entry else 0) for w in done] == [("begun", 6), ("ended", 7), ("ended", 0)]
    assert "begin was not recorded" in done[2].problem
    writer.put("skipped", {"result": "skipped"})
    writer.close()
    assert read_entry(folder, 8).kind == "skipped", "what was queued is written before the end"
    assert "challenge" not in {thread.name for thread in threading.enumerate()}


def test_whatever_breaks_at_a_record_is_told_and_ends_no_thread(
    folder: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_: object) -> None:
        raise ValueError("nonsense")

    monkeypatch.setattr("edge.record.challenge_writer.RETRY_S", 0.01)
    writer = ChallengeWriter(archive(folder, key))
    with monkeypatch.context() as patched:
        patched.setattr(Archive, "append", breaks)
        writer.put("begun", {"operator": "a"})
        (done,) = written(writer, 1)
    assert (done.entry, done.problem) == (None, "The record was not written (ValueError: nonsense).")
    writer.put("begun", {"operator": "a"})
    writer.close()
    assert read_entry(folder, 6).kind == "begun"

"""Users and their passwords, how often one may be tried, and sessions."""

from __future__ import annotations

import logging
import stat
import time
from pathlib import Path

import pytest

from edge.clock import NS_PER_S
from edge.errors import ConfigError
from edge.monitor.web import users
from edge.monitor.web.sessions import IDLE_NS, LONGEST_NS, MOST, Sessions, carries
from edge.monitor.web.throttle import FIRST_NS, FORGET_NS, FREE, Throttle
from edge.monitor.web.throttle import LONGEST_NS as LONGEST_WAIT_NS
from edge.monitor.web.users import Users

S = NS_PER_S
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("users") / "users.toml"
    users.add(path, "anna", PASSWORD)
    return path


# -- users ------------------------------------------------------------------------------------------------------------


def test_a_password_is_kept_as_a_slow_hash_and_in_a_file_of_its_owner_alone(file: Path) -> None:
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    text = file.read_text()
    assert PASSWORD not in text
    assert "$argon2id$v=19$m=19456,t=2,p=1$" in text
    assert not list(file.parent.glob(".*")), "no draft or lock stays"


def test_only_the_right_password_of_a_known_name_is_right(file: Path) -> None:
    known = Users(file)
    assert known.check("anna", PASSWORD)
    assert not known.check("anna", PASSWORD + " ")
    assert not known.check("Anna", PASSWORD)
    assert not known.check("", "")
    assert not Users(None).check("anna", PASSWORD)


def test_an_unknown_name_takes_as_long(file: Path) -> None:
    known = Users(file)

    def best(name: str) -> float:
        times = []
        for _ in range(5):
            start = time.thread_time()  # other work on the machine does not count
            known.check(name, "wrong password")
            times.append(time.thread_time() - start)
        return min(times)

    assert best("nobody") > 0.5 * best("anna")


def test_a_changed_file_keeps_its_mode_and_is_taken_up(tmp_path: Path, file: Path) -> None:
    path = tmp_path / "users.toml"
    path.write_bytes(file.read_bytes())
    path.chmod(0o640)
    known = Users(path)
    before = known.token("anna")
    assert users.add(path, "ben", "another password") is True
    assert users.add(path, "anna", "a new password") is False
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    known.refresh()
    assert known.check("ben", "another password")
    assert known.token("anna") not in ("", before)
    users.remove(path, "ben")
    known.refresh()
    assert known.token("ben") == ""
    with pytest.raises(ConfigError, match="has no user 'ben'"):
        users.remove(path, "ben")


@pytest.mark.parametrize("text", ["nonsense", '[[user]]\nname = "anna"\nhash = "plain"\n', "[[user]]\nname = 1\n"])
def test_an_unusable_file_lets_nobody_in(
    tmp_path: Path, file: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "users.toml"
    path.write_bytes(file.read_bytes())
    known = Users(path)
    path.write_text(text)
    with caplog.at_level(logging.ERROR):
        known.refresh()
    assert not known
    assert "Nobody may log in" in caplog.text
    with pytest.raises(ConfigError, match="is no file of users"):
        Users(path)


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path, file: Path) -> None:
    path = tmp_path / "users.toml"
    path.write_text(file.read_text() + file.read_text())
    with pytest.raises(ConfigError, match="twice"):
        Users(path)


@pytest.mark.parametrize("name", ["", " anna", "a\nb", "x" * 65, '"'])
def test_names_that_cannot_stand_in_a_record_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a user's name"):
        users.add(tmp_path / "users.toml", name, PASSWORD)


@pytest.mark.parametrize(("length", "good"), [(9, False), (10, True), (200, True), (201, False)])
def test_a_passwords_length_has_bounds(tmp_path: Path, length: int, good: bool) -> None:
    path = tmp_path / "users.toml"
    if good:
        users.add(path, "anna", "x" * length)
        assert Users(path).check("anna", "x" * length)
    else:
        with pytest.raises(ConfigError, match=f"of {length} characters"):
            users.add(path, "anna", "x" * length)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        users.add(tmp_path / "none" / "users.toml", "anna", PASSWORD)


# -- throttle ---------------------------------------------------------------------------------------------------------


def test_a_few_failures_cost_nothing_and_each_further_one_doubles_the_wait() -> None:
    throttle = Throttle()
    for _ in range(FREE - 1):
        throttle.failed(["a"], S)
    assert throttle.wait_ns(["a"], S) == 0
    for wait in (FIRST_NS, 2 * FIRST_NS, 4 * FIRST_NS):
        throttle.failed(["a"], S)
        assert throttle.wait_ns(["a", "b"], S) == wait
        assert throttle.wait_ns(["a"], S + wait) == 0
    assert throttle.wait_ns(["b"], S) == 0
    throttle.succeeded(["a"])
    assert throttle.wait_ns(["a"], S) == 0


def test_a_wait_has_a_limit_and_failures_are_forgotten() -> None:
    throttle = Throttle()
    for _ in range(100):
        throttle.failed(["a"], S)
    assert throttle.wait_ns(["a"], S) == LONGEST_WAIT_NS
    throttle.failed(["a"], S + FORGET_NS + 1)
    assert throttle.wait_ns(["a"], S + FORGET_NS + 1) == 0


def test_what_is_remembered_is_bounded() -> None:
    throttle = Throttle()
    for n in range(5):
        throttle.failed(["anna"], n)
    for n in range(5000):
        throttle.failed([f"name {n}"], 5 + n)
    assert len(throttle._failures) == 4096
    assert throttle.wait_ns(["anna"], 5), "other names do not push hers out"
    assert "name 4999" in throttle._failures


def test_a_name_of_any_letters_can_be_read_again(tmp_path: Path, file: Path) -> None:
    path = tmp_path / "users.toml"
    path.write_bytes(file.read_bytes())
    name = "\U00020000\U00020001 Łukasz"
    users.add(path, name, PASSWORD)
    assert sorted(users.read(path)) == ["anna", name]
    assert Users(path).check(name, PASSWORD)


def test_a_file_that_could_not_be_read_again_does_not_replace_the_old_one(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "users.toml"
    path.write_bytes(file.read_bytes())
    monkeypatch.setattr("json.dumps", lambda *_, **__: "no TOML")
    with pytest.raises(ConfigError, match="no file of users"):
        users.add(path, "bert", PASSWORD)
    assert path.read_bytes() == file.read_bytes()
    assert not list(tmp_path.glob(".users*")), "no draft stays"


# -- sessions ---------------------------------------------------------------------------------------------------------


def test_a_session_ends_when_unused_or_old() -> None:
    sessions = Sessions()
    secret, begun = sessions.begin("anna", "t", 0)
    assert sessions.find(secret, IDLE_NS) is begun
    assert sessions.find(secret, 2 * IDLE_NS) is begun, "it was used meanwhile"
    assert sessions.find(secret, 3 * IDLE_NS + 1) is None
    secret, begun = sessions.begin("anna", "t", 0)
    for at in range(0, LONGEST_NS + 1, IDLE_NS):
        assert sessions.find(secret, at) is begun
    assert sessions.find(secret, LONGEST_NS + 1) is None
    assert sessions.find("guess", 0) is None


def test_sessions_are_bounded_and_their_secrets_are_not_kept() -> None:
    sessions = Sessions()
    first, _ = sessions.begin("anna", "t", 0)
    secrets = [sessions.begin("anna", "t", 0)[0] for _ in range(MOST)]
    assert sessions.find(first, 0) is None
    assert sessions.find(secrets[0], 0) is not None
    assert not {*secrets} & sessions._sessions.keys()
    assert len({*secrets}) == MOST


def test_a_token_is_the_sessions_own() -> None:
    sessions = Sessions()
    _, one = sessions.begin("anna", "t", 0)
    _, other = sessions.begin("anna", "t", 0)
    assert carries(one, one.csrf)
    assert not carries(one, other.csrf)
    assert not carries(one, "")

"""The control socket: who may command, what reaches the loop, and what a bad client can do (nothing)."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Full

import pytest
from typer.testing import CliRunner

from edge import cli
from edge.config import ControlConfig
from edge.errors import ConfigError, ControlError, EdgeError, PortBusy
from edge.record import commands
from edge.record.commands import CommandLog
from edge.record.journal.rows import Event, Row
from edge.wire import control
from edge.wire.control import Answer, Command, ControlThread, Peer, request

ME = Peer(os.getuid(), pwd.getpwuid(os.getuid()).pw_name, os.getpid())


def obey(command: Command) -> None:
    """What a loop does with a command, at once."""
    assert command.take()
    command.answer(True, f"{command.name} done", arguments=command.arguments, user=command.peer.user)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control"


@pytest.fixture
def serve(path: Path) -> Iterator[Callable[..., ControlThread]]:
    threads: list[ControlThread] = []

    def make(post: Callable[[Command], None] = obey, mode: int = 0o600) -> ControlThread:
        threads.append(ControlThread(path, mode, post))
        threads[-1].start()
        return threads[-1]

    yield make
    for thread in threads:
        thread.close()


def raw(path: Path, data: bytes, shut: bool = False) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(5)
        client.connect(str(path))
        client.sendall(data)
        if shut:
            client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(4096), b""))


def test_a_command_reaches_the_loop_and_its_answer_the_client(path: Path, serve: Callable[..., ControlThread]) -> None:
    posted: list[Command] = []
    serve(lambda command: (posted.append(command), obey(command))[1])
    answer = request(path, "mode", mode="jog", speed=1.5, on=True)
    arguments = {"mode": "jog", "speed": 1.5, "on": True}
    assert answer == {"ok": True, "text": "mode done", "arguments": arguments, "user": ME.user}
    assert [(c.name, c.peer) for c in posted] == [("mode", ME)]


def test_the_loop_may_answer_from_another_thread_and_refuse(path: Path, serve: Callable[..., ControlThread]) -> None:
    serve(lambda c: threading.Timer(0.05, lambda: c.answer(False, "not in auto", remedy="reset first")).start())
    assert request(path, "mode") == {"ok": False, "text": "not in auto", "remedy": "reset first"}


def test_clients_come_one_after_the_other(path: Path, serve: Callable[..., ControlThread]) -> None:
    serve()
    texts: list[str] = []
    clients = [threading.Thread(target=lambda n=n: texts.append(request(path, str(n))["text"])) for n in range(6)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert sorted(texts) == [f"{n} done" for n in range(6)]


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666])
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_the_file_has_the_permissions_asked_for(
    path: Path, serve: Callable[..., ControlThread], mode: int, umask: int
) -> None:
    before = os.umask(umask)
    try:
        serve(mode=mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_path_left_behind_is_taken_over(path: Path, serve: Callable[..., ControlThread]) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    serve()
    assert request(path, "reset")["ok"]


def test_a_path_in_use_is_not(path: Path, serve: Callable[..., ControlThread]) -> None:
    serve()
    with pytest.raises(PortBusy, match="in use"):
        ControlThread(path, 0o600, obey)
    assert request(path, "reset")["ok"]


def test_of_many_that_start_at_once_one_has_the_path(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(path))
    made: list[ControlThread] = []
    refused: list[PortBusy] = []

    def start() -> None:
        try:
            made.append(ControlThread(path, 0o600, obey))
        except PortBusy as error:
            refused.append(error)

    starts = [threading.Thread(target=start) for _ in range(8)]
    for thread in starts:
        thread.start()
    for thread in starts:
        thread.join()
    for thread_made in made:
        thread_made.close()
    assert (len(made), len(refused)) == (1, 7)


def test_what_is_no_socket_is_never_removed(path: Path) -> None:
    path.write_text("precious")
    with pytest.raises(ConfigError, match="no socket"):
        ControlThread(path, 0o600, obey)
    assert path.read_text() == "precious"


@pytest.mark.parametrize("bad", ["missing/control", "x" * 200])
def test_a_path_that_cannot_be_used_is_named(tmp_path: Path, bad: str) -> None:
    with pytest.raises(ConfigError, match=r"control\.path"):
        ControlThread(tmp_path / bad, 0o600, obey)


def test_closing_removes_the_socket_but_nobody_elses(path: Path) -> None:
    first = ControlThread(path, 0o600, obey)
    first.close()
    assert not path.exists()
    second = ControlThread(path, 0o600, obey)
    second.start()
    path.rename(path.with_name("moved"))
    third = ControlThread(path, 0o600, obey)
    second.close()
    assert path.exists()
    third.close()


BAD = [
    b"\n",
    b"{}\n",
    b"null\n",
    b"reset\n",
    b'{"command": 5}\n',
    b'{"command": "reset", "arguments": []}\n',
    b'{"command": "reset", "arguments": {"a": {"b": 1}}}\n',
    b'{"command": "reset", "arguments": {"a": NaN}}\n',
    b'{"command": "reset", "surplus": 1}\n',
    b'{"command": "reset"}\n{"command": "reset"}\n',
    b'{"command": "\xff"}\n',
    b"[" * 4000 + b"\n",
    b"x" * 5000,
]


@pytest.mark.parametrize("data", BAD)
def test_nonsense_is_answered_and_never_reaches_the_loop(
    path: Path, serve: Callable[..., ControlThread], data: bytes
) -> None:
    posted: list[Command] = []
    thread = serve(posted.append)
    try:
        answer = json.loads(raw(path, data))
        assert answer["ok"] is False
        assert "understood" in answer["text"]
    except ConnectionResetError:
        assert len(data) > control.MAX_REQUEST  # what was not read resets the connection
    assert (posted, thread.malformed) == ([], 1)


def test_a_client_without_a_whole_line_is_answered(path: Path, serve: Callable[..., ControlThread]) -> None:
    serve()
    assert b"no end" in raw(path, b'{"command": "reset"}', shut=True)


def test_a_line_of_just_the_most_bytes_is_taken(path: Path, serve: Callable[..., ControlThread]) -> None:
    serve()
    line = b'{"command": "%s"}\n'
    fill = control.MAX_REQUEST - len(line % b"")
    assert json.loads(raw(path, line % (b"a" * fill)))["ok"]
    with pytest.raises(ControlError, match="4096"):
        request(path, "a" * control.MAX_REQUEST)


def test_clients_that_dawdle_or_leave_hold_up_nobody_for_long(
    path: Path, serve: Callable[..., ControlThread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "CLIENT_S", 0.2)
    thread = serve()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent, socket.socket(socket.AF_UNIX) as gone:
        silent.connect(str(path))
        silent.sendall(b'{"comm')
        gone.connect(str(path))
        gone.sendall(b'{"command": "reset"}\n')
        gone.close()
        began = time.monotonic()
        assert request(path, "reset")["ok"]
        assert 0.1 < time.monotonic() - began < 2.0
    assert thread.malformed >= 1


def test_a_drip_of_bytes_gains_no_time(
    path: Path, serve: Callable[..., ControlThread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "CLIENT_S", 0.3)
    serve()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as drip:
        drip.connect(str(path))
        began = time.monotonic()
        with contextlib.suppress(OSError):  # broken pipe or reset, as it falls
            while time.monotonic() - began < 5.0:
                drip.sendall(b" ")
                time.sleep(0.02)
        assert time.monotonic() - began < 2.0


def test_a_command_that_no_loop_takes_is_withdrawn(
    path: Path, serve: Callable[..., ControlThread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "ANSWER_S", 0.05)
    posted: list[Command] = []
    serve(posted.append)
    answer = request(path, "mode", mode="bypass")
    assert (answer["ok"], "withdrawn" in answer["text"]) == (False, True)
    assert not posted[0].take(), "a late loop would do what its operator was told had not been done"


def test_a_command_that_takes_too_long_is_said_to_be_under_way(
    path: Path, serve: Callable[..., ControlThread], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "ANSWER_S", 0.05)
    serve(lambda command: command.take() and None)
    answer = request(path, "recipe")
    assert (answer["ok"], "begun" in answer["text"]) == (False, True)


def test_the_first_answer_counts() -> None:
    command = Command("reset", {}, ME)
    command.answer(True, "first")
    command.answer(False, "second")
    assert command.wait(0) == Answer(True, "first", {})


def test_a_full_mailbox_is_said(path: Path, serve: Callable[..., ControlThread]) -> None:
    def full(_: Command) -> None:
        raise Full

    serve(full)
    assert "too many" in request(path, "reset")["text"]


def test_details_that_cannot_be_encoded_are_left_out(path: Path, serve: Callable[..., ControlThread]) -> None:
    serve(lambda command: command.answer(True, "done.", handle=object()))
    answer = request(path, "reset")
    assert (answer["ok"], answer["text"][:5]) == (True, "done.")


# -- the client --------------------------------------------------------------------------------------------------


def test_what_keeps_a_command_from_being_sent_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "REQUEST_S", 0.05)
    path = tmp_path / "control"
    with pytest.raises(ControlError, match="There is no control socket"):
        request(path, "reset")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        with pytest.raises(ControlError, match="Nobody listens"):
            request(path, "reset")
        server.listen()
        with pytest.raises(ControlError, match=r"did not answer within 0\.05 s"):
            request(path, "reset")
        if os.getuid():  # root may use every socket
            path.chmod(0)
            with pytest.raises(ControlError, match="may not be used"):
                request(path, "reset")
    assert ControlError("a", "b").exit_code == 12


@pytest.mark.parametrize("reply", [b"", b"no json\n", b"{}\n", b"[]\n", b'{"ok": 1, "text": ""}\n', b'{"ok": true'])
def test_an_answer_that_is_none_is_refused(tmp_path: Path, reply: bytes) -> None:
    path = tmp_path / "control"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            client, _ = server.accept()
            with client:
                client.recv(4096)
                client.sendall(reply)

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(ControlError, match=r"answer"):
            request(path, "reset")
        thread.join()


# -- the record --------------------------------------------------------------------------------------------------


def test_each_command_is_recorded_and_queries_are_not(tmp_path: Path) -> None:
    record = tmp_path / "commands.jsonl"
    config = ControlConfig(path=str(tmp_path / "c"), mode="0660", record=str(record))

    def loop(command: Command) -> None:
        command.answer(command.name != "mode", f"{command.name}.")

    with commands.control(config, loop) as log:
        assert log is not None
        assert stat.S_IMODE((tmp_path / "c").stat().st_mode) == 0o660
        for name in ("mode", "status", "reset"):
            request(config.path or "", name, mode="jog")
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert [(line["command"], line["accepted"], line["text"]) for line in lines] == [
        ("mode", False, "mode."),
        ("reset", True, "reset."),
    ]
    assert all((line["user"], line["uid"], line["pid"]) == (ME.user, ME.uid, ME.pid) for line in lines)
    assert lines[0]["arguments"] == {"mode": "jog"}
    assert lines[0]["monotonic_ns"] < lines[1]["monotonic_ns"] < time.monotonic_ns()
    assert log.lost == 0


def test_the_journal_hears_of_commands_and_not_of_queries(tmp_path: Path) -> None:
    rows: list[Row] = []
    config = ControlConfig(path=str(tmp_path / "c"))
    with commands.control(config, obey, rows.append):
        for name in ("mode", "status"):
            request(config.path or "", name, mode="jog")
    (event,) = rows
    assert isinstance(event, Event)
    assert (event.kind, event.text) == ("command", f"{ME.user}: mode. mode done")
    assert (event.data["arguments"], event.data["accepted"], event.data["uid"]) == ({"mode": "jog"}, True, ME.uid)
    assert event.at_ns == event.data["monotonic_ns"]


def test_without_a_path_nothing_listens() -> None:
    with commands.control(ControlConfig(path=None), obey) as log:
        assert log is None


def test_without_a_file_the_log_has_it(caplog: pytest.LogCaptureFixture) -> None:
    log = CommandLog(None)
    log.note(Command("mode", {"mode": "bypass"}, ME), Answer(True, "bypass.", {}))
    log.close()
    assert "bypass" in caplog.text
    assert log.lost == 0


def test_a_record_that_cannot_be_kept_is_an_error_at_the_start(tmp_path: Path) -> None:
    config = ControlConfig(path=str(tmp_path / "c"), record=str(tmp_path / "no" / "file"))
    with pytest.raises(ConfigError, match=r"control\.record"), commands.control(config, obey):
        pass
    assert not (tmp_path / "c").exists()


# -- the command line --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "name", "arguments"),
    [
        (["mode", "inspect-only"], "mode", {"mode": "inspect-only"}),
        (["reset"], "reset", {}),
        (["status"], "status", {}),
    ],
)
def test_the_commands(
    path: Path, serve: Callable[..., ControlThread], words: list[str], name: str, arguments: dict[str, str]
) -> None:
    posted: list[Command] = []
    serve(lambda command: (posted.append(command), obey(command))[1])
    result = CliRunner().invoke(cli.app, ["control", str(path), *words])
    assert result.exit_code == 0, result.output
    assert f"{name} done" in result.output
    assert [(c.name, c.arguments) for c in posted] == [(name, arguments)]


def test_a_recipe_is_named_by_its_whole_path(
    path: Path, tmp_path: Path, serve: Callable[..., ControlThread], monkeypatch: pytest.MonkeyPatch
) -> None:
    serve()
    (tmp_path / "r.toml").write_text("")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli.app, ["control", str(path), "recipe", "r.toml"])
    assert str(tmp_path / "r.toml") in result.output
    assert CliRunner().invoke(cli.app, ["control", str(path), "recipe", "none.toml"]).exit_code == 2


def test_status_as_json_and_as_text(path: Path, serve: Callable[..., ControlThread]) -> None:
    serve(lambda command: command.answer(True, "armed", mode="auto", alarms={"air_low": "The air is low."}, none={}))
    result = CliRunner().invoke(cli.app, ["control", str(path), "status", "--json"])
    assert json.loads(result.output)["alarms"] == {"air_low": "The air is low."}
    text = CliRunner().invoke(cli.app, ["control", str(path), "status"]).output
    assert "air_low: The air is low." in text
    assert "none: none" in text


@pytest.mark.parametrize("words", [["mode", "faster"], ["mode"], ["explode"]])
def test_what_is_no_command_never_reaches_the_process(
    path: Path, serve: Callable[..., ControlThread], words: list[str]
) -> None:
    posted: list[Command] = []
    serve(posted.append)
    assert CliRunner().invoke(cli.app, ["control", str(path), *words]).exit_code == 2
    assert posted == []


def test_a_refusal_ends_with_its_own_exit_code(
    path: Path, serve: Callable[..., ControlThread], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    serve(lambda command: command.answer(False, "accept_escapes is off.", remedy="set it."))
    monkeypatch.setattr("sys.argv", ["edge", "control", str(path), "mode", "bypass"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 12
    assert "accept_escapes is off. Remedy: set it." in capsys.readouterr().err
    assert issubclass(ControlError, EdgeError)

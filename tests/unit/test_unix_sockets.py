"""Unix sockets obey their file's mode, from the first moment on: of the signal path, of telemetry, of control."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from queue import Queue

import pytest
import zmq

from edge import config as cfg
from edge.core.part import Identity
from edge.errors import ConfigError, ControlError, PortBusy
from edge.gateway.transport import router
from edge.station.reporting import Reporter
from edge.wire import control, unix
from edge.wire.sockets import Context, Dealer, bind
from tests.support_station import Rig

STRANGER = 54321
"""A user that no host has."""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter; pytest's own are closed."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def context() -> Iterator[Context]:
    with zmq.Context[zmq.Socket[bytes]]() as made:
        yield made


def may_connect(path: Path, uid: int = STRANGER) -> bool:
    """Try to connect as another user, in a process of its own."""
    if os.geteuid() != 0:  # without the right to become somebody else, the mode must do
        return bool(path.stat().st_mode & stat.S_IWOTH)
    child = os.fork()
    if child == 0:
        answer = 2
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).connect(str(path))
            answer = 0
        except PermissionError:
            answer = 1
        finally:
            os._exit(answer)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 1), "the attempt failed for another reason"
    return code == 0


@pytest.mark.parametrize(("mode", "admitted"), [(0o600, False), (0o660, False), (0o666, True)])
@pytest.mark.parametrize("umask", [0, 0o022, 0o777])
def test_the_signal_path_and_telemetry_obey_their_modes(folder: Path, mode: int, admitted: bool, umask: int) -> None:
    config = cfg.GatewayConfig(
        bind=f"ipc://{folder}/g",
        telemetry=cfg.TelemetryConfig(endpoint=f"ipc://{folder}/t", mode=f"{mode:04o}"),
        security=cfg.SecurityConfig(ipc_mode=f"{mode:04o}"),
    )
    before = os.umask(umask)
    try:
        with zmq.Context[zmq.Socket[bytes]]() as context, router(context, config):
            for path in (folder / "g", folder / "t"):
                assert stat.S_IMODE(path.stat().st_mode) == mode
                assert may_connect(path) is admitted
            with closing(Dealer(context, config.bind)) as station:
                assert station.socket.poll(2000, zmq.POLLOUT), "its own user is let in"
    finally:
        os.umask(before)


@pytest.mark.parametrize("kind", [zmq.ROUTER, zmq.PUB])
def test_a_socket_is_for_its_own_user_unless_said_otherwise(folder: Path, context: Context, kind: int) -> None:
    with bind(context, kind, f"ipc://{folder}/s"):
        assert stat.S_IMODE((folder / "s").stat().st_mode) == 0o600
        assert not may_connect(folder / "s")


@pytest.mark.parametrize("mode", [0o600, 0o660])
def test_the_stations_telemetry_obeys_its_mode(folder: Path, context: Context, mode: int) -> None:
    rig = Rig(telemetry=cfg.TelemetryConfig(endpoint=f"ipc://{folder}/t", mode=f"{mode:04o}"))
    identity = Identity("model", "engine", "fp32")
    reporter = Reporter(rig.config, identity, rig.ledger, rig.pool, rig.publisher, 100.0, None, context)
    with closing(reporter):
        assert stat.S_IMODE((folder / "t").stat().st_mode) == mode


def test_the_file_is_never_open_to_more_than_its_mode(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    chmod = Path.chmod

    def look(self: Path, mode: int) -> None:
        seen.append(stat.S_IMODE(self.stat().st_mode))  # as it was made
        chmod(self, mode)

    monkeypatch.setattr(Path, "chmod", look)
    before = os.umask(0)
    try:
        unix.listen(folder / "s", 0o600, 1, "endpoint").close()
    finally:
        os.umask(before)
    assert seen == [0o600]


@pytest.mark.parametrize(("mode", "admitted"), [(0o600, False), (0o666, True)])
def test_the_control_socket_obeys_its_mode(folder: Path, mode: int, admitted: bool) -> None:
    commands: Queue[control.Command] = Queue()
    served = control.ControlThread(folder / "c", mode, commands.put_nowait)
    served.start()
    with closing(served):
        assert may_connect(folder / "c") is admitted


def test_another_user_is_told_that_he_may_not_command(folder: Path) -> None:
    if os.geteuid() != 0:
        assert "may not be used" in str(control._unreachable(folder, PermissionError()))
        return
    commands: Queue[control.Command] = Queue()
    served = control.ControlThread(folder / "c", 0o600, commands.put_nowait)
    served.start()
    with closing(served):
        child = os.fork()
        if child == 0:
            os.setuid(STRANGER)
            try:
                control.request(folder / "c", "reset")
            except ControlError as error:
                os._exit(0 if "may not be used" in str(error) else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert commands.empty(), "no command arrived"


def test_a_socket_that_somebody_listens_at_is_not_taken_over_and_a_left_one_is(folder: Path, context: Context) -> None:
    endpoint = f"ipc://{folder}/s"
    with bind(context, zmq.ROUTER, endpoint), pytest.raises(PortBusy, match="in use"):
        bind(context, zmq.ROUTER, endpoint)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(folder / "left"))
    with bind(context, zmq.ROUTER, f"ipc://{folder}/left"), closing(Dealer(context, f"ipc://{folder}/left")) as station:
        assert station.socket.poll(2000, zmq.POLLOUT)


def test_what_is_no_socket_is_not_removed(folder: Path, context: Context) -> None:
    (folder / "s").write_text("precious")
    with pytest.raises(ConfigError, match="no socket"):
        bind(context, zmq.ROUTER, f"ipc://{folder}/s")
    assert (folder / "s").read_text() == "precious"
    with pytest.raises(ConfigError, match="no socket can be made"):
        bind(context, zmq.ROUTER, f"ipc://{folder}/none/s")

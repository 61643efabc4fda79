from __future__ import annotations

import contextlib
import grp
import itertools
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.commands import doctor, doctor_alive, doctor_config, doctor_network
from edge.commands.doctor_read import read
from edge.commands.finding import Finding
from edge.config import CameraConfig, GatewayConfig, MonitorConfig, PlcConfig, SecurityConfig, StationConfig
from edge.record import qualified
from edge.record.qualified import Qualified
from edge.simulate.modbus import ModbusServer
from edge.simulate.plc import READ_ONLY_END, REGISTERS
from edge.simulate.registers import RegisterBank
from edge.wire.keys import generate, write_pair
from tests.support_models import tiny_package

MAP_VERSION = 1


def by_name(findings: Iterator[Finding] | list[Finding]) -> dict[str, Finding]:
    """Return the worst finding of each name."""
    ranked = sorted(findings, key=lambda f: ("ok", "warn", "fail").index(f.status))
    return {finding.name: finding for finding in ranked}


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "taken"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as listener:
        listener.bind(str(path))
        listener.listen()
        yield f"ipc://{path}"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGE_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def station_file(tmp_path: Path, more: str = "") -> Path:
    package = tmp_path / "package"
    if not package.exists():
        tiny_package(tmp_path).path.rename(package)
    path = tmp_path / "station.toml"
    path.write_text(
        f'model = {{ package = "{package}", engine = "onnxruntime" }}\n'
        f'recipe = {{ rules = [{{ name = "any" }}] }}\n'
        f'telemetry = {{ endpoint = "ipc://{tmp_path}/telemetry" }}\n{more}',
        encoding="utf-8",
    )
    return path


# -- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ('recipe = { rules = [{ name = "any" }] }', StationConfig),
        ("bind = 'ipc:///tmp/x'", GatewayConfig),
        ("port = 9000", MonitorConfig),
        ("station = '/etc/edge/station.toml'", MonitorConfig),
        ("gateway = '/etc/edge/gateway.toml'", MonitorConfig),
    ],
)
def test_the_keys_of_a_file_tell_whose_it_is(tmp_path: Path, text: str, kind: type) -> None:
    path = tmp_path / "some.toml"
    path.write_text(text, encoding="utf-8")
    assert type(read(path)) is kind


def test_a_config_that_cannot_be_read_is_one_finding_and_the_next_is_examined(tmp_path: Path) -> None:
    good = tmp_path / "gateway.toml"
    good.write_text(f'bind = "ipc://{tmp_path}/bind"\n', encoding="utf-8")
    missing = list(doctor_config.examine(tmp_path / "missing.toml"))
    assert [f.status for f in missing] == ["fail"]
    assert by_name(doctor_config.examine(good))[f"{good}: bind"].status == "ok"


# -- station ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("state")
def test_a_station_is_examined_with_its_model_and_endpoints(tmp_path: Path, listening: str) -> None:
    path = station_file(
        tmp_path,
        f'gateway = {{ endpoint = "{listening}" }}\n'
        f'camera = {{ endpoint = "ipc://{tmp_path}/camera" }}\n'
        f'trigger = {{ endpoint = "{listening}" }}\n',
    )
    found = by_name(doctor_config.examine(path))
    assert "passed the golden gate on onnxruntime fp32" in found[f"{path}: model"].detail
    assert found[f"{path}: telemetry"].status == "ok"
    assert found[f"{path}: gateway"].status == "ok"
    assert found[f"{path}: trigger"].status == "ok"
    assert found[f"{path}: camera"].status == "warn"


@pytest.mark.parametrize(("p99_ms", "status"), [(None, "warn"), (99.9, "ok"), (100.0, "fail")])
@pytest.mark.usefixtures("state")
def test_the_measured_p99_stands_against_the_deadline(tmp_path: Path, p99_ms: float | None, status: str) -> None:
    path = station_file(tmp_path)
    config = read(path)
    assert isinstance(config, StationConfig)
    if p99_ms is not None:
        from edge.model.package import load_package

        sha256 = load_package(Path(config.model.package)).manifest.files["model.onnx"]
        key = qualified.key(sha256, "onnxruntime", "fp32", config.model.threads, "640x512 mono8")
        qualified.write(key, Qualified(10.0, p99_ms, 1000, "2026-11-22"))
    found = by_name(doctor_config.examine(path))[f"{path}: p99 inspection time"]
    assert found.status == status
    assert (f"edge bench overhead --config {path}" == found.remedy) == (p99_ms is None)


@pytest.mark.usefixtures("state")
def test_a_changed_model_fails(tmp_path: Path) -> None:
    path = station_file(tmp_path)
    (tmp_path / "package" / "model.onnx").write_bytes(b"other")
    findings = list(doctor_config.examine(path))
    assert doctor.failed(findings)
    assert doctor.as_dict(findings)["healthy"] is False
    assert "sha256" in by_name(findings)[f"{path}: model"].detail


def test_a_camera_that_software_triggers_delivers_a_frame(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), np.full((48, 64), 77, np.uint8))
    camera = CameraConfig(kind="folder", source=str(tmp_path), width=64, height=48)
    found = doctor_config.frame("camera", camera)
    assert found.status == "ok"
    assert "64 x 48 mono8, mean brightness 77 of 255" in found.detail
    assert doctor_config.frame("camera", camera.model_copy(update={"width": 65})).status == "fail"
    assert doctor_config.frame("camera", camera.model_copy(update={"source": str(tmp_path / "no")})).status == "fail"


@pytest.mark.usefixtures("state")
def test_a_video_device_that_is_not_there_is_told_with_its_node(tmp_path: Path) -> None:
    path = station_file(
        tmp_path, 'camera = { kind = "video", source = "63" }\ntrigger = { kind = "timer" }\n'
        'gateway = { endpoint = "none" }\n'
    )  # fmt: skip
    found = by_name(doctor_config.examine(path))
    assert "/dev/video63" in found[f"{path}: camera device"].detail
    assert f"{path}: camera" not in found


@pytest.mark.usefixtures("state")
def test_the_devices_of_a_process_that_answers_are_left_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def untouched(*_: object) -> Finding:
        raise AssertionError("a second client, or a second engine")

    for module, name in ((doctor_config, "plc"), (doctor_config, "_model"), (doctor_config, "frame")):
        monkeypatch.setattr(module, name, untouched)
    monkeypatch.setattr(doctor_alive, "alive", lambda path: Finding(str(path), "ok", "answers"))
    station, gateway = station_file(tmp_path), tmp_path / "gateway.toml"
    gateway.write_text(f'bind = "ipc://{tmp_path}/bind"\n', encoding="utf-8")
    for path in (station, gateway):
        assert by_name(doctor_config.examine(path, spare=True))[f"{path}: devices"].status == "ok"
        with pytest.raises(AssertionError):
            list(doctor_config.examine(path))


@pytest.mark.usefixtures("state")
def test_a_camera_without_a_reference_and_an_open_signing_key_are_told(tmp_path: Path) -> None:
    key = tmp_path / "challenge.key"
    key.write_text("-----BEGIN PRIVATE KEY-----")
    path = station_file(
        tmp_path,
        f'health = {{ folder = "{tmp_path}/health" }}\ngateway = {{ endpoint = "none" }}\n'
        f'trigger = {{ kind = "timer" }}\ncamera = {{ kind = "folder", source = "{tmp_path}" }}\n',
    )
    config = read(path)
    assert isinstance(config, StationConfig)
    signing = config.model_copy(update={"challenge": config.challenge.model_copy(update={"key": str(key)})})
    found = by_name(doctor_config.station(path, signing))
    assert "health reference" in found[f"{path}: health"].remedy
    assert found[f"{path}: challenge.key"].remedy == f"chmod 600 {key}"
    (tmp_path / "health").mkdir()
    (tmp_path / "health" / "reference.json").write_text("{}")
    key.chmod(0o600)
    found = by_name(doctor_config.station(path, signing))
    assert found[f"{path}: health"].status == found[f"{path}: challenge.key"].status == "ok"


# -- gateway and PLC --------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def plc(scanning: bool, fail_safe: int = 1) -> Iterator[int]:
    """Serve the registers of a PLC whose program runs, or stands; yield the port."""
    bank = RegisterBank(REGISTERS, READ_ONLY_END)
    beats = itertools.count() if scanning else itertools.repeat(7)

    def scan() -> None:
        bank.registers[:4] = [MAP_VERSION, next(beats), 1, fail_safe]
        bank.end_scan()

    def run() -> None:
        while not end.wait(0.005):
            scan()

    scan()
    server = ModbusServer(bank, "127.0.0.1", 0)
    server.start()
    end = threading.Event()
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield server.port
    finally:
        end.set()
        thread.join()
        server.stop()


@pytest.mark.parametrize(
    ("scanning", "fail_safe", "status", "word"),
    [(True, 1, "ok", "its program runs"), (False, 1, "fail", "does not run"), (True, 2, "fail", "fail-safe 2")],
)
def test_an_open_port_is_not_a_running_program(scanning: bool, fail_safe: int, status: str, word: str) -> None:
    with plc(scanning, fail_safe) as port:
        found = doctor_network.plc("PLC", GatewayConfig(plc=PlcConfig(port=port, timeout_ms=400, stale_ms=1000)))
    assert found.status == status, found
    assert word in found.detail


def test_a_plc_that_does_not_speak_is_told() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        config = GatewayConfig(plc=PlcConfig(port=server.getsockname()[1], timeout_ms=50))
        assert "did not answer" in doctor_network.plc("PLC", config).detail


def test_a_gateway_is_examined_with_its_ports_and_who_holds_them(tmp_path: Path, listening: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        path = tmp_path / "gateway.toml"
        path.write_text(
            f'bind = "tcp://127.0.0.1:{server.getsockname()[1]}"\n'
            'security = { key = "none.key", allow = "none.toml" }\n'
            f'telemetry = {{ endpoint = "{listening}" }}\n'
            "plc = { port = 9, timeout_ms = 20 }\n",
            encoding="utf-8",
        )
        found = by_name(doctor_config.examine(path))
    for key in ("bind", "telemetry"):
        assert found[f"{path}: {key}"].status == "warn"
        assert f"(process {os.getpid()})" in found[f"{path}: {key}"].detail
    assert found[f"{path}: PLC"].status == "warn"
    assert found[f"{path}: signal path"].status == "fail"


@pytest.mark.parametrize(("excess", "status"), [(0, "ok"), (1, "fail")])
def test_a_socket_path_has_a_longest_length(excess: int, status: str) -> None:
    path = "/tmp/" + "x" * (doctor_network.SOCKET_PATH_BYTES - len("/tmp/") + excess)
    assert doctor_network.bound("telemetry", f"ipc://{path}").status == status


def test_a_socket_of_a_service_that_was_never_started_has_its_folder_from_systemd() -> None:
    found = doctor_network.bound("telemetry", "ipc:///run/edge/a-line-that-is-not-here-station/telemetry")
    assert (found.status, "made by systemd" in found.detail) == ("ok", True)
    assert doctor_network.bound("telemetry", "ipc:///run/not-edge/station/telemetry").status == "fail"


# -- keys -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "status"), [(0o700, "ok"), (0o755, "ok"), (0o775, "fail"), (0o757, "fail")])
def test_a_folder_in_which_others_may_replace_keys_fails(tmp_path: Path, mode: int, status: str) -> None:
    folder = tmp_path / "keys"
    secret, public = write_pair(generate(), "station-1", folder)
    folder.chmod(mode)
    path = tmp_path / "station.toml"
    security = SecurityConfig(key=str(secret), server_key=str(public))
    found = by_name(doctor_config.keys(path, security))[f"{path}: security.key"]
    assert found.status == status
    assert ("mode 0600" in found.detail) == (status == "ok")


@pytest.mark.parametrize(("mode", "status"), [(0o600, "ok"), (0o640, "ok"), (0o660, "fail"), (0o604, "fail")])
def test_password_hashes_are_for_their_owner_and_the_monitors_group(tmp_path: Path, mode: int, status: str) -> None:
    users, path = tmp_path / "users.json", tmp_path / "monitor.toml"
    users.write_text("{}")
    users.chmod(mode)
    path.write_text(f'users = "{users}"\nport = 0\n', encoding="utf-8")
    assert by_name(doctor_config.examine(path))[f"{path}: users"].status == status


@pytest.mark.parametrize(("theirs", "status"), [(None, "ok"), (0, "ok"), (1, "fail")])
def test_password_hashes_are_not_for_the_operators_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, theirs: int | None, status: str
) -> None:
    """Who may command, by the group `edge`, may not read them; `theirs` is how far the file's group is from that."""
    users = tmp_path / "users.toml"
    users.write_text("")
    users.chmod(0o640)

    def group(name: str) -> grp.struct_group:
        if theirs is None:
            raise KeyError(name)
        return grp.struct_group((name, "", users.stat().st_gid + theirs, []))

    monkeypatch.setattr("grp.getgrnam", group)
    found = doctor_config.secret_file("users", users, for_group=True)
    assert found.status == status
    assert (found.remedy == f"chgrp edge-monitor {users}") == (status == "fail")


# -- folders ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("state")
def test_each_folder_of_a_configuration_is_examined_and_each_disk_once(tmp_path: Path) -> None:
    path = station_file(
        tmp_path,
        f'journal = {{ folder = "{tmp_path}/not/yet" }}\nflight = {{ folder = "{tmp_path}" }}\n'
        f'evidence = {{ folder = "{tmp_path}", keep_gb = 100000 }}\n'
        f'control = {{ path = "{tmp_path}/c", record = "{tmp_path}/record.jsonl" }}\n',
    )
    findings = list(doctor_config.examine(path))
    found = by_name(findings)
    for key in ("journal.folder", "flight.folder", "control.record"):
        assert found[f"{path}: {key}"].status in ("ok", "warn")
    assert "full before the quota holds" in found[f"{path}: evidence.folder"].detail
    assert [f.name for f in findings if f.name.endswith(": disk")] == [f"{path}: control.record: disk"]

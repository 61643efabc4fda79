import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import zmq
from pymodbus.client import ModbusTcpClient
from pymodbus.exceptions import ModbusException, ModbusIOException
from typer.testing import CliRunner

from edge import clock, errors
from edge.simulate import cli
from edge.simulate import plc_map as plc
from edge.simulate.console import Console, ConsoleError
from edge.simulate.modbus import ModbusServer
from edge.simulate.pictures import FolderScene
from edge.simulate.plant import Plant
from edge.simulate.plc import PlcProgram
from edge.simulate.plc_io import Inputs, Outputs
from edge.simulate.registers import RegisterBank
from tests.support_plant import ANY, FlatScene, client_of, drive, long, running, short_run


@pytest.fixture
def served() -> Iterator[tuple[RegisterBank, list[tuple[int, list[int], int]], ModbusServer]]:
    writes: list[tuple[int, list[int], int]] = []
    bank = RegisterBank(plc.REGISTERS, plc.READ_ONLY_END, lambda *write: writes.append(write))
    server = ModbusServer(bank, port=0)
    server.start()
    yield bank, writes, server
    server.stop()


# -- the server --------------------------------------------------------------------------------------------------


def test_a_block_is_read_with_one_request(served: Any) -> None:
    bank, _, server = served
    bank.registers[:120] = range(1000, 1120)
    with client_of(server.port) as client:
        assert client.read_holding_registers(0, count=120).registers == [0] * 120
        bank.end_scan()
        assert client.read_holding_registers(0, count=120).registers == list(range(1000, 1120))


def test_a_write_reaches_the_program_at_its_next_scan_whole(served: Any) -> None:
    bank, writes, server = served
    before_ns = clock.now_ns()
    with client_of(server.port) as client:
        assert not client.write_registers(200, list(range(1, 13))).isError()
        assert not client.write_register(230, 77).isError()
        assert client.read_holding_registers(200, count=12).registers == list(range(1, 13))
    assert bank.registers[200:212] == [0] * 12
    bank.begin_scan(before_ns)
    assert bank.registers[200:212] == [0] * 12  # a scan that was due before the write does not see it
    bank.begin_scan(clock.now_ns())
    assert (bank.registers[200:212], bank.registers[230]) == (list(range(1, 13)), 77)
    assert [write[:2] for write in writes] == [(200, list(range(1, 13))), (230, [77])]
    assert before_ns < writes[0][2] < clock.now_ns()


def test_the_program_may_clear_what_the_network_wrote(served: Any) -> None:
    bank, _, server = served
    with client_of(server.port) as client:
        client.write_registers(220, [5] * 11)
        bank.begin_scan(clock.now_ns())
        bank.registers[:] = [0] * bank.size
        client.write_registers(231, [6] * 11)
        bank.end_scan()
        assert client.read_holding_registers(220, count=22).registers == [0] * 11 + [6] * 11


@pytest.mark.parametrize(
    "request_",
    [
        lambda c: c.write_registers(0, [1]),
        lambda c: c.write_registers(119, [1, 1]),
        lambda c: c.write_registers(307, [1, 1]),
        lambda c: c.read_holding_registers(300, count=9),
        lambda c: c.read_input_registers(0, count=1),
        lambda c: c.write_coils(120, [True]),
        lambda c: c.read_holding_registers(0, count=1, device_id=2),
    ],
)
def test_other_requests_are_refused_and_change_nothing(served: Any, request_: Any) -> None:
    bank, writes, server = served
    with client_of(server.port) as client:
        assert request_(client).isError()
    bank.begin_scan(clock.now_ns())
    assert (bank.registers, writes) == ([0] * bank.size, [])


def test_a_taken_port_is_named(served: Any) -> None:
    _, _, server = served
    with pytest.raises(errors.PortBusy, match=str(server.port)):
        ModbusServer(RegisterBank(10, 5), port=server.port).start()


def test_the_server_ends_with_a_client_connected() -> None:
    server = ModbusServer(RegisterBank(10, 5), port=0)
    server.start()
    with client_of(server.port):
        server.stop()
    ModbusServer(RegisterBank(10, 5), port=server.port)
    assert not any(thread.name == "modbus" for thread in threading.enumerate())


def test_a_port_that_loses_requests_answers_nothing_and_takes_nothing(served: Any) -> None:
    _, writes, server = served
    with client_of(server.port, timeout=0.1) as client:
        server.trouble.silent = True
        with pytest.raises(ModbusIOException):
            client.write_registers(200, [1])
        server.trouble.silent = False
        assert client.connect()
        assert not client.read_holding_registers(200, count=1).isError()
    assert writes == []


def test_a_slow_port_answers_late_and_takes_late(served: Any) -> None:
    _, writes, server = served
    with client_of(server.port) as client:
        server.trouble.answer_ms = 300.0
        begin_ns = clock.now_ns()
        assert not client.write_registers(200, [1, 2]).isError()
        assert clock.now_ns() - begin_ns >= 300 * clock.NS_PER_MS
        assert writes[0][:2] == (200, [1, 2])
        assert writes[0][2] - begin_ns >= 300 * clock.NS_PER_MS
        server.trouble.answer_ms = 0.0
        begin_ns = clock.now_ns()
        assert not client.read_holding_registers(200, count=2).isError()
        assert clock.now_ns() - begin_ns < 250 * clock.NS_PER_MS


def test_requests_that_overlap_at_a_slow_port_are_each_served_once(served: Any) -> None:
    _, writes, server = served
    server.trouble.answer_ms = 400.0
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as raw:
        for transaction in (1, 2):
            raw.sendall(bytes([0, transaction, 0, 0, 0, 6, 1, 6, 0, 200, 0, transaction]))
            time.sleep(0.2)  # the server takes one request at a time from what it has received
        answers = b""
        while len(answers) < 24:
            answers += raw.recv(64)
    assert (answers[1], answers[13]) == (1, 2)
    assert [values for _, values, _ in writes] == [[1], [2]]


def test_a_refusing_port_takes_nothing(served: Any) -> None:
    bank, writes, server = served
    with client_of(server.port) as client:
        server.trouble.refusing = True
        assert client.write_registers(200, [1]).isError()
        assert client.read_holding_registers(0, count=10).isError()
        server.trouble.refusing = False
        assert not client.read_holding_registers(0, count=10).isError()
    assert (bank.registers, writes) == ([0] * bank.size, [])


def test_nonsense_and_a_foreign_map_are_read_and_change_nothing(served: Any) -> None:
    bank, _, server = served
    bank.registers[:10] = range(1, 11)
    bank.end_scan()
    with client_of(server.port) as client:
        server.trouble.foreign = True
        assert client.read_holding_registers(0, count=10).registers == [2, *range(2, 11)]
        server.trouble.foreign, server.trouble.nonsense = False, True
        first, second = (client.read_holding_registers(0, count=120).registers for _ in range(2))
        server.trouble.nonsense = False
        assert len({tuple(first), tuple(second), tuple(bank.registers[:120])}) == 3
        assert client.read_holding_registers(0, count=10).registers == list(range(1, 11))


def test_a_port_is_closed_and_opened_again_in_its_place(served: Any) -> None:
    _, _, server = served
    port = server.port
    with client_of(port) as client:
        server.close_port()
        wait_until(lambda: refused(port))
        assert not client.connected or client_fails(client)
        server.open_port()
        wait_until(lambda: not refused(port))
    assert server.port == port
    with client_of(port) as client:
        assert not client.read_holding_registers(0, count=1).isError()
    server.close_port()  # a plant may end while its port is closed
    wait_until(lambda: refused(port))


def client_fails(client: ModbusTcpClient) -> bool:
    try:
        return bool(client.read_holding_registers(0, count=1).isError())
    except ModbusException:
        return True


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    return False


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 2
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# -- the plant ---------------------------------------------------------------------------------------------------


def test_permits_open_the_gate_in_real_time() -> None:
    with running(short_run()) as plant:
        block = drive(plant, refused={1004, 1005})
        records = [record.as_json() for record in plant.records()]
        summary = plant.summary()
    assert [record["bin"] for record in records] == ["good"] * 3 + ["reject"] * 2 + ["good"] * 5
    assert [record["number"] for record in records] == list(range(1001, 1011))
    assert (long(block, plc.HONOURED_W), long(block, plc.REJECTED_W)) == (8, 2)
    expected = {"parts": 10, "good_bin": 8, "permits_written": 8, "permits_honoured": 8, "escaped_no_permit": 0}
    assert {key: summary[key] for key in expected} == expected
    assert (summary["unjudged"], summary["defective"], summary["good"]) == (8, 4, 6)


def test_a_gateway_that_falls_silent_holds_infeed_and_gate() -> None:
    with running(short_run(parts=0)) as plant:
        drive(plant, until=3)
        time.sleep(2.0)  # the watchdog bites, and the stretch from infeed to gate empties
        good, met = plant.world.good, plant.world.good + plant.world.reject
        time.sleep(0.3)
        assert plant.world.good + plant.world.reject == met
        assert good >= 3
        assert plant.summary()["escaped_no_permit"] == 0


def test_a_plc_that_starts_anew_forgets_its_permits() -> None:
    with running(short_run(parts=0, stop_plc={6: 50.0}, line={"interlock": False})) as plant:
        first = plant._plc_session
        drive(plant, until=3)
        time.sleep(0.6)
        assert plant.bank.read(plc.GATED_W, 2) != [0, 0]
        assert plant._plc_session != first
        assert plant.summary()["escaped_no_permit"] == 0


class DefaultPass(PlcProgram):
    """The fault that the whole product exists to prevent."""

    def scan(self, now_ns: int, inputs: Inputs) -> Outputs:
        return Outputs(gate_open=True, infeed_open=super().scan(now_ns, inputs).infeed_open)


def test_a_plc_that_passes_by_default_is_found_out() -> None:
    with running(short_run(parts=3, line={"interlock": False, "infeed_mm": 50.0}), DefaultPass) as plant:
        deadline = time.monotonic() + 5
        while plant.world.good < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        summary = plant.summary()
    assert (summary["good_bin"], summary["escaped_no_permit"], summary["unjudged"]) == (3, 3, 3)


def listen(plant: Plant) -> tuple[zmq.Context[Any], zmq.Socket[bytes], zmq.Socket[bytes]]:
    context: zmq.Context[Any] = zmq.Context()
    sockets = []
    for name in ("trigger", "camera"):
        socket = context.socket(zmq.SUB)
        socket.setsockopt(zmq.SUBSCRIBE, b"")
        socket.setsockopt(zmq.RCVTIMEO, 2000)
        socket.connect(plant.addresses[name])
        sockets.append(socket)
    return context, sockets[0], sockets[1]


def test_devices_speak_as_agreed_and_fail_as_told() -> None:
    faults = {
        "drop_frames": frozenset({1}),
        "corrupt_frames": frozenset({2}),
        "delay_frames": {3: 250.0},
        "drop_triggers": frozenset({2}),
        "delay_triggers": {3: 30.0},
    }
    with running(short_run(parts=5, line={"interlock": False, "infeed_mm": 500.0}, **faults)) as plant:
        context, trigger, camera = listen(plant)
        triggers: list[dict[str, Any]] = []
        frames: list[tuple[dict[str, Any], bytes, int]] = []
        while len(frames) < 4:
            header, pixels = camera.recv_multipart()
            if pixels:
                frames.append((json.loads(header), pixels, clock.now_ns()))
        while len(triggers) < 4:
            message = json.loads(trigger.recv())
            if message["kind"] == "trigger":
                triggers.append(message)
        while (hello := json.loads(trigger.recv()))["kind"] != "hello":
            pass
        while (idle := json.loads(camera.recv_multipart()[0]))["kind"] != "hello":
            pass
        context.destroy(linger=0)
        tags = [record.tag for record in plant.records()]
    assert [t["number"] for t in triggers] == [1001, 1002, 1004, 1005]
    assert [t["count"] for t in triggers] == [4_005_000, 4_006_000, 4_008_000, 4_009_000]
    assert triggers[1]["t0_ns"] - triggers[0]["t0_ns"] == 100 * clock.NS_PER_MS
    assert (hello["number"], hello["epoch"], idle["counter"]) == (1005, 1, 81)
    assert [header["counter"] for header, *_ in frames] == [77, 79, 81, 80]
    assert [header["tag"] for header, *_ in frames] == [tags[i] for i in (0, 2, 4, 3)]
    assert [len(pixels) for _, pixels, _ in frames] == [32, 16, 32, 32]
    assert set(frames[0][0]) == {"kind", "counter", "exposed_ns", "width", "height", "color", "tag"}
    assert frames[0][0]["exposed_ns"] == triggers[0]["t0_ns"] + 2 * clock.NS_PER_MS
    assert frames[0][2] >= triggers[0]["t0_ns"] + 6 * clock.NS_PER_MS


def test_a_belt_that_stands_delays_and_rejects_nothing() -> None:
    with running(short_run(parts=6, stop_belt={3: 300.0})) as plant:
        drive(plant, until=6)
        assert plant.world.good == 6


def test_the_sensor_behind_the_gate_confirms() -> None:
    with running(short_run(parts=8, line={"confirm_mm": 20.0})) as plant:
        drive(plant, refused={1003}, until=8)
        time.sleep(0.3)  # the last one passes the sensor
        rings = [plant.bank.read(plc.GATE_RING + plc.GATE_SIZE * entry, plc.GATE_SIZE) for entry in range(8)]
    good, rejected = [plc.ACTION_GOOD, plc.CONFIRMED], [plc.ACTION_REJECTED, plc.CONFIRMED]
    assert {long(ring, 0): ring[2:] for ring in rings} == {
        n: rejected if n == 1003 else good for n in range(1001, 1009)
    }


class HoldsCounted(PlcProgram):
    """Counts the scans in which it holds the belt."""

    holds = 0

    def scan(self, now_ns: int, inputs: Inputs) -> Outputs:
        outputs = super().scan(now_ns, inputs)
        self.holds += outputs.belt_stop
        return outputs


def test_a_line_that_stops_for_a_part_without_a_permit_is_reset_and_goes_on() -> None:
    with running(short_run(parts=6, fail_safe=plc.STOP_LINE), HoldsCounted) as plant:
        drive(plant, refused={1003}, until=6)
        assert (plant.world.good, plant.world.reject) == (5, 1)
        assert 5 <= plant.program.holds <= 20  # about 100 ms


def test_the_console_of_a_running_line_breaks_it_and_it_recovers(tmp_path: Path) -> None:
    settings = replace(short_run(parts=0), console=tmp_path / "console")
    with running(settings) as plant, Console(tmp_path / "console") as console:
        drive(plant, until=4)
        session = plant._plc_session
        before_ns = clock.now_ns()
        assert before_ns < console.fault("plc_reboot", allowance_ms=200.0) < clock.now_ns()
        time.sleep(0.05)
        assert plant._plc_session != session
        console.begin("the test")
        drive(plant, until=12)
        assert console.end("the test") > before_ns
        state = console.state()
        with pytest.raises(ConsoleError, match="gremlins"):
            console.fault("gremlins")
    assert (state["escaped_no_permit"], state["open_faults"]) == (0, [])
    assert state["faults"] == {"plc_reboot": 1, "the test": 1}
    assert 0 < state["affected"] < state["parts"]
    assert state["infeed_open"] is True
    with pytest.raises(ConsoleError, match="No plant answers"):
        Console(tmp_path / "console")


def test_telemetry_reaches_the_judge() -> None:
    context: zmq.Context[Any] = zmq.Context()
    station = context.socket(zmq.PUB)
    port = station.bind_to_random_port("tcp://127.0.0.1")
    settings = short_run(parts=2, line={"interlock": False})
    object.__setattr__(settings, "telemetry", f"tcp://127.0.0.1:{port}")
    with running(settings) as plant:
        deadline = time.monotonic() + 5
        while plant.world.reject < 2 and time.monotonic() < deadline:
            word = {"part": 1001, "tag": "x", "outcome": "NO_DECISION", "cause": "frame_missing", "rule": ""}
            station.send_multipart([b"part", json.dumps(word | {"disposition": "ACCEPTED"}).encode()])
            station.send_multipart([b"part", b"no json"])
            time.sleep(0.05)
        summary, first = plant.summary(), plant.records()[0]
    context.destroy(linger=0)
    assert (first.outcome, first.cause, first.disposition) == ("NO_DECISION", "frame_missing", "ACCEPTED")
    assert summary["outcomes"] == {"NO_DECISION": 1, "none": 1}
    assert summary["telemetry_malformed"] > 0


def test_a_taken_endpoint_releases_what_was_bound() -> None:
    with running(short_run(parts=0)) as plant:
        settings = short_run()
        object.__setattr__(settings, "camera", plant.addresses["camera"])
        second = Plant(settings, scene=FlatScene())
        with pytest.raises(errors.PortBusy, match="camera"):
            second.open()
        second.close()


# -- pictures and options ----------------------------------------------------------------------------------------


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    for name, grey in (("b.png", 20), ("a.png", 10)):
        cv2.imwrite(str(tmp_path / name), np.full((4, 6), grey, np.uint8))
    scene = FolderScene(tmp_path, "mono8")
    assert scene.size == (6, 4)
    assert [int(scene.shot(i).image[0, 0]) for i in range(3)] == [10, 20, 10]
    assert FolderScene(tmp_path, "bgr8").shot(0).image.shape == (4, 6, 3)
    assert scene.shot(0).defective is None


def test_a_bad_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError, match="no image"):
        FolderScene(tmp_path, "mono8")
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4, 6), np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.zeros((4, 7), np.uint8))
    with pytest.raises(errors.ConfigError, match=r"b\.png"):
        FolderScene(tmp_path, "mono8")
    (tmp_path / "b.png").write_bytes(b"none")
    with pytest.raises(errors.ConfigError, match=r"b\.png"):
        FolderScene(tmp_path, "mono8")


def test_fault_options() -> None:
    assert cli.parse_indices(["3", "5,7-9"]) == {3, 5, 7, 8, 9}
    assert cli.parse_delays(["3:25", "4-5:1.5"]) == {3: 25.0, 4: 1.5, 5: 1.5}


def test_the_command_runs_rejects_and_reports(tmp_path: Path) -> None:
    options = f"plant --parts 4 --infeed free --modbus 0 --trigger {ANY} --camera {ANY} --telemetry tcp://127.0.0.1:9"
    files = f"--ready-file {tmp_path}/up --summary {tmp_path}/sum --parts-out {tmp_path}/parts --width 128 --height 128"
    result = CliRunner().invoke(cli.app, [*options.split(), *files.split(), "--settle", "0", "--no-realtime", "--json"])
    assert result.exit_code == 0, result.output
    summary = json.loads(result.output)
    assert summary == json.loads((tmp_path / "sum").read_text())
    assert (summary["parts"], summary["reject_bin"], summary["defective"] + summary["good"]) == (4, 4, 4)
    rows = [json.loads(line) for line in (tmp_path / "parts").read_text().splitlines()]
    assert [row["number"] for row in rows] == [1001, 1002, 1003, 1004]
    assert set(json.loads((tmp_path / "up").read_text())) == {"modbus", "trigger", "camera"}


@pytest.mark.parametrize("options", [["--drop-frames", "x"], ["--delay-frames", "3"], ["--speed", "2000"]])
def test_bad_options_are_refused(options: list[str]) -> None:
    assert CliRunner().invoke(cli.app, ["plant", *options]).exit_code == 2

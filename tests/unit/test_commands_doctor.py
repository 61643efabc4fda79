from __future__ import annotations

import importlib
import socket
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest
import zmq

from edge.commands import doctor, doctor_alive, doctor_machine
from edge.commands.doctor_machine import BACKLOG_WANTED, MEMORY_WARN_MB, RECEIVE_WANTED, SEND_WANTED
from edge.commands.finding import Finding

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
TEGRA = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n"


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="ascii")
    return path


def test_this_machine_is_fit() -> None:
    findings = doctor.examine()
    assert not doctor.failed(findings), doctor.render(findings)
    found = by_name(findings)
    assert found["engine onnxruntime"].detail.endswith("int8, fp32, fp16 on this CPU")
    assert found["Python"].status == "ok"
    assert {
        "CPU governor",
        "swap",
        "clock source",
        "wall clock",
        "real-time rights",
        "network rmem_max",
    } <= found.keys()


def test_the_libraries_and_python_are_those_of_the_project() -> None:
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    wanted = [
        *project["dependencies"],
        *project["optional-dependencies"]["cpu"],
    ]
    for distribution, lowest, below in doctor.LIBRARIES.values():
        assert f"{distribution}>={lowest}" + (f",<{below}" if below else "") in wanted
    required = {line.partition(">")[0] for line in project["dependencies"]} - {"tomli"}  # in the library since 3.11
    assert required <= {distribution for distribution, _, _ in doctor.LIBRARIES.values()}
    assert set(doctor.EXTRAS) == set(project["optional-dependencies"]) - {"dev"}
    low, high = doctor.PYTHON_LOWEST, doctor.PYTHON_BELOW
    assert project["requires-python"] == f">={low[0]}.{low[1]},<{high[0]}.{high[1]}"


@pytest.mark.parametrize(
    ("lowest", "below", "status"),
    [("1.0", "", "ok"), ("9999", "", "fail"), ("1.0", "1.1", "fail"), ("1.0", "9999", "ok")],
)
def test_a_library_outside_its_range_fails(lowest: str, below: str, status: str) -> None:
    assert doctor._library("numpy", "numpy", lowest, below).status == status


def test_a_version_at_the_lower_bound_is_in_range_and_one_at_the_upper_is_not() -> None:
    import numpy

    assert doctor._library("numpy", "numpy", numpy.__version__, "").status == "ok"
    assert doctor._library("numpy", "numpy", "1.0", numpy.__version__).status == "fail"


def test_a_missing_library_fails_with_the_command_that_installs_it() -> None:
    finding = doctor._library("no_such_module", "no-such", "1", "2")
    assert finding.status == "fail"
    assert finding.remedy == "pip install 'no-such>=1,<2'"


# -- machine ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cores", "status"), [([], "ok"), (["performance"] * 2, "ok"), (["performance", "schedutil"], "warn")]
)
def test_cores_that_change_their_clock_are_told(tmp_path: Path, cores: list[str], status: str) -> None:
    for number, governor in enumerate(cores):
        put(tmp_path / f"devices/system/cpu/cpu{number}/cpufreq/scaling_governor", f"{governor}\n")
    found = doctor_machine.governor(tmp_path)
    assert found.status == status
    assert ("schedutil" in found.detail) == (status == "warn")


@pytest.mark.parametrize(("swap_kib", "status"), [(0, "ok"), (8_008_000, "warn")])
def test_swap_is_told(tmp_path: Path, swap_kib: int, status: str) -> None:
    put(tmp_path / "meminfo", f"MemAvailable:   20000000 kB\nSwapTotal:   {swap_kib} kB\nHugePages_Total:   0\n")
    assert doctor_machine.swap(tmp_path).status == status
    assert doctor_machine.memory(tmp_path).status == "ok"


@pytest.mark.parametrize(("missing_mb", "status"), [(0, "ok"), (1, "warn")])
def test_memory_has_a_lowest_amount(tmp_path: Path, missing_mb: int, status: str) -> None:
    kib = -(-(MEMORY_WARN_MB - missing_mb) * 1_000_000 // 1024)
    put(tmp_path / "meminfo", f"MemAvailable: {kib} kB\nSwapTotal: 0 kB\n")
    assert doctor_machine.memory(tmp_path).status == status


@pytest.mark.parametrize(("source", "status"), [("tsc", "ok"), ("arch_sys_counter", "ok"), ("hpet", "warn")])
def test_a_slow_clock_is_told(tmp_path: Path, source: str, status: str) -> None:
    put(tmp_path / "devices/system/clocksource/clocksource0/current_clocksource", f"{source}\n")
    assert doctor_machine.clock_source(tmp_path).status == status


def test_the_kernel_says_whether_its_wall_clock_is_disciplined() -> None:
    assert doctor_machine.synchronised(0x2001, 1500) == Finding("wall clock", "ok", "synchronised, at most 1.5 ms off")
    assert doctor_machine.synchronised(0x2041, 1500).status == "warn"
    assert "told" not in doctor_machine.time_synchronised().detail, "adjtimex works here"


@pytest.mark.parametrize("less", [0, 1])
def test_network_buffers_that_a_gige_camera_needs(tmp_path: Path, less: int) -> None:
    for name, wanted in (
        ("rmem_max", RECEIVE_WANTED),
        ("wmem_max", SEND_WANTED),
        ("netdev_max_backlog", BACKLOG_WANTED),
    ):
        put(tmp_path / "sys/net/core" / name, f"{wanted - less}\n")
    found = list(doctor_machine.buffers(tmp_path))
    assert [bool(f.remedy) for f in found] == [bool(less)] * 3
    assert "67.1 ms of a GigE camera" in found[0].detail


def test_a_buffer_that_cannot_be_read_is_not_the_end(tmp_path: Path) -> None:
    assert {f.status for f in doctor_machine.buffers(tmp_path)} == {"ok"}


def test_a_jetson_is_known_and_its_devices_are_examined(tmp_path: Path) -> None:
    tegra = put(tmp_path / "nv_tegra_release", TEGRA)
    assert "Jetson Linux R36 (release), REVISION: 4.3" in doctor_machine.host(tegra).detail
    assert "Jetson" not in doctor_machine.host(tmp_path / "none").detail
    assert doctor_machine.gpu_devices(tmp_path).remedy == "in a container: --runtime nvidia"
    put(tmp_path / "nvmap", "")
    put(tmp_path / "dri/renderD128", "")
    assert doctor_machine.gpu_devices(tmp_path).detail == "all 2 may be used"


@pytest.mark.parametrize(("user", "told"), [(0, 1), (1000, 0)])
def test_what_root_finds_of_rights_is_worth_nothing(monkeypatch: pytest.MonkeyPatch, user: int, told: int) -> None:
    monkeypatch.setattr("os.geteuid", lambda: user)
    found = list(doctor_machine.root())
    assert [finding.status for finding in found] == ["warn"] * told
    assert all("env EDGE_STATE=/var/lib/edge/" in finding.remedy for finding in found)  # HOME is still root's


def test_a_device_that_is_missing_or_barred_names_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    node = put(tmp_path / "video0", "")
    assert doctor_machine.device("camera", node).status == "ok"
    assert doctor_machine.device("camera", tmp_path / "video1").status == "fail"
    monkeypatch.setattr("os.access", lambda *_: False)  # root may use everything
    barred = doctor_machine.device("camera", node)
    assert barred.status == "fail"
    assert f"--group-add {node.stat().st_gid}" in barred.remedy


# -- the whole --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statuses", "lenient", "strict"), [("ok", 0, 0), ("ok warn", 0, 23), ("ok warn fail", 1, 1), ("fail", 1, 1)]
)
def test_the_exit_code_tells_failures_and_on_demand_warnings(statuses: str, lenient: int, strict: int) -> None:
    findings = [Finding("x", status, "") for status in statuses.split()]  # type: ignore[arg-type]
    assert doctor.exit_code(findings, strict=False) == lenient
    assert doctor.exit_code(findings, strict=True) == strict


def test_what_failed_stands_out_with_its_remedy() -> None:
    text = doctor.render([Finding("a", "ok", "fine"), Finding("bb", "fail", "broken", "mend it")])
    assert text.splitlines() == ["ok   a   fine", "FAIL bb  broken", "         remedy: mend it"]


def test_alive_is_who_publishes_and_not_who_merely_holds_the_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor_alive, "WAIT_MS", 300)
    path = tmp_path / "gateway.toml"
    path.write_text(
        f'telemetry = {{ endpoint = "ipc://{tmp_path}/t" }}\nbind = "ipc://{tmp_path}/b"\n', encoding="utf-8"
    )
    assert doctor.answering([])[0].status == "fail"
    with zmq.Context() as context, context.socket(zmq.PUB) as socket:
        socket.bind(f"ipc://{tmp_path}/t")
        assert doctor.answering([path])[0].status == "fail"
        end = threading.Event()
        thread = threading.Thread(target=lambda: [socket.send(b"x") for _ in iter(lambda: end.wait(0.02), True)])
        thread.start()
        try:
            assert doctor.answering([path])[0].status == "ok"
            assert _healthy({"EDGE_CONFIG": str(path)})
            assert not _healthy({"EDGE_CONFIG": f"{path}:{tmp_path}/none.toml"})
            assert not _healthy({})
        finally:
            end.set()
            thread.join()


def _healthy(environment: dict[str, str]) -> bool:
    """Run the health check of the container images."""
    command = [sys.executable, "-m", "edge.commands.doctor_alive"]
    return subprocess.run(command, env=environment, cwd=PROJECT.parent, check=False).returncode == 0


def test_alive_of_a_monitor_is_its_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # the plant's, which Docker hands on to containers
    path = tmp_path / "monitor.toml"
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        path.write_text(f"port = {server.getsockname()[1]}\n", encoding="utf-8")
        served = threading.Thread(target=_answer_once, args=(server,))
        served.start()
        assert doctor.answering([path])[0].status == "ok"
        served.join()
    assert doctor.answering([path])[0].status == "fail"


def test_who_speaks_something_else_at_a_monitors_port_is_not_alive(tmp_path: Path) -> None:
    path = tmp_path / "monitor.toml"
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        path.write_text(f"port = {server.getsockname()[1]}\n", encoding="utf-8")
        served = threading.Thread(target=_answer_once, args=(server, b"220 mail.plant ESMTP\r\n"))
        served.start()
        assert doctor.answering([path])[0].status == "fail"
        served.join()


def _answer_once(server: socket.socket, answer: bytes = b"HTTP/1.0 200 OK\r\n\r\n") -> None:
    connection, _ = server.accept()
    with connection:
        assert connection.recv(1000).startswith(b"GET /healthz ")
        connection.sendall(answer)


@pytest.mark.parametrize(
    ("source", "status"),
    [("__version__ = '10.3.0'", "ok"), ("raise ImportError('libnvdla_compiler.so')", "fail"), (None, "warn")],
)
def test_a_jetson_without_its_driver_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str | None, status: str
) -> None:
    monkeypatch.setattr(doctor, "ACCELERATORS", ("faked_tensorrt",))
    monkeypatch.syspath_prepend(tmp_path)
    tegra = put(tmp_path / "nv_tegra_release", TEGRA)
    if source is not None:
        put(tmp_path / "faked_tensorrt.py", source)
    importlib.invalidate_caches()
    sys.modules.pop("faked_tensorrt", None)
    assert [f.status for f in doctor.accelerators(tegra)] == [status]
    on_others = [f.status for f in doctor.accelerators(tmp_path / "none")]
    assert on_others == ([] if source is None else [status])

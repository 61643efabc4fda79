"""What `edge doctor` finds of one configuration: model, budget, camera, PLC, keys, endpoints, folders."""

from __future__ import annotations

import grp
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from edge.commands import check, doctor_alive, doctor_disk, protection
from edge.commands.doctor_machine import device
from edge.commands.doctor_network import answers, bound, plc
from edge.commands.doctor_read import read
from edge.commands.finding import Finding
from edge.config import CameraConfig, GatewayConfig, MonitorConfig, StationConfig, load_any
from edge.config.line import SecurityConfig
from edge.errors import EdgeError
from edge.record.health import REFERENCE

FRAME_S = 5.0
"""How long a camera may take for its first frame."""

MONITOR = "edge-monitor"
"""The user and group of the monitor's service; systemd/edge.sysusers.conf."""


def examine(path: Path, spare: bool = False) -> Iterator[Finding]:
    """Yield what was found; a file that cannot be used is one finding.

    Args:
        path: of a station's, a gateway's or a monitor's configuration.
        spare: leave camera, engine and PLC to the file's own process, where that answers: a camera has one reader,
            many a PLC one client, and an engine that is built takes the processor from the one that inspects.
    """
    try:
        config = read(path)
    except EdgeError as error:
        yield Finding(str(path), "fail", error.problem, error.remedy)
        return
    if isinstance(config, MonitorConfig):
        yield from _monitor(path, config)
    else:
        yield from protection.examine(path, config)
        yield from keys(path, config.security)
        yield from _budget(path)
        yield bound(f"{path}: telemetry", config.telemetry.endpoint)
        runs = spare and doctor_alive.alive(path).status == "ok"
        if runs:
            yield Finding(f"{path}: devices", "ok", "left to the process, which answers")
        if isinstance(config, GatewayConfig):
            yield from _gateway(path, config, runs)
        else:
            yield from station(path, config, runs)
    yield from doctor_disk.examine(path, config)


def _gateway(path: Path, config: GatewayConfig, runs: bool) -> Iterator[Finding]:
    yield bound(f"{path}: bind", config.bind)
    if not runs:
        yield plc(f"{path}: PLC", config)


def station(path: Path, config: StationConfig, runs: bool = False) -> Iterator[Finding]:
    """Yield what a station needs beside its keys, budget and folders; of one that ``runs``, nothing of its devices."""
    if not runs:
        yield _model(path, config)
        yield from _camera(f"{path}: camera", config.camera)
    if config.evidence.live is not None:
        yield bound(f"{path}: live pictures", config.evidence.live)
    if config.gateway.endpoint is not None and config.security.key is None:
        yield answers(f"{path}: gateway", config.gateway.endpoint, "start the gateway, or correct gateway.endpoint")
    if config.health.folder is not None:
        yield _reference(f"{path}: health", Path(config.health.folder), config.control.path)
    if config.challenge.key is not None:
        yield secret_file(f"{path}: challenge.key", Path(config.challenge.key))
    if config.trigger.kind == "plant":
        yield answers(f"{path}: trigger", config.trigger.endpoint, "start the plant, or correct trigger.endpoint")


def _monitor(path: Path, config: MonitorConfig) -> Iterator[Finding]:
    if config.port:
        host = f"[{config.host}]" if ":" in config.host else config.host
        yield bound(f"{path}: web server", f"tcp://{host}:{config.port}")
    for key, file in (("station", config.station), ("gateway", config.gateway)):
        if file is not None:
            try:
                load_any(Path(file))
            except EdgeError as error:
                yield Finding(f"{path}: {key}", "fail", error.problem, error.remedy)
    for key, secret in (("users", config.users), ("key", config.key)):
        if secret is not None:
            yield secret_file(f"{path}: {key}", Path(secret), for_group=True)


# -- model and budget -------------------------------------------------------------------------------------------------


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


def _budget(path: Path) -> Iterator[Finding]:
    """Each condition of `edge check`, with the inspection times that were measured on this machine."""
    try:
        report = check.check(path)
    except EdgeError:
        return  # the model or the keys, whose own finding says it
    for found in report.checks:
        name = f"{path}: {found.name}"
        told = f"{found.value}, must be {found.limit}"
        if not found.holds:
            yield Finding(name, "fail", told, found.remedy)
        elif found.value.startswith("unmeasured"):
            yield Finding(name, "warn", told, f"edge bench overhead --config {path}")
        else:
            yield Finding(name, "ok", told)


# -- camera -----------------------------------------------------------------------------------------------------------


def _camera(name: str, config: CameraConfig) -> Iterator[Finding]:
    if config.kind == "plant":
        yield answers(name, config.endpoint, "start the plant, or correct camera.endpoint")
        return
    if config.kind == "video" and config.source.isdecimal():
        node = device(f"{name} device", Path(f"/dev/video{config.source}"))
        yield node
        if node.status != "ok":
            return
    yield frame(name, config)


def frame(name: str, config: CameraConfig) -> Finding:
    """Open a camera that is triggered by software, and take one frame."""
    import numpy as np

    try:
        from edge.capture.factory import open_camera

        with open_camera(config) as camera:
            slot = np.zeros(camera.shape, np.uint8)
            camera.software_trigger(time.monotonic_ns())
            taken = camera.grab(slot, FRAME_S)
    except EdgeError as error:
        return Finding(name, "fail", error.problem, error.remedy)
    except ImportError as error:
        return Finding(name, "fail", f"cannot be opened ({error})", "pip install 'edge-inspect[cpu]'")
    if taken is None:
        detail, remedy = f"{config.source}: no frame within {FRAME_S:g} s", "see its cable, its power and its driver"
        return Finding(name, "fail", detail, remedy)
    size = f"{config.width} x {config.height} {config.color}"
    if not taken.intact:
        detail = f"{config.source}: its first frame is not {size}, or damaged"
        return Finding(name, "fail", detail, "make camera.width, height and color agree with the source")
    return Finding(name, "ok", f"{config.source}: a frame of {size}, mean brightness {slot.mean():.0f} of 255")


def _reference(name: str, folder: Path, control: str | None) -> Finding:
    """Whether the camera can be compared with what it showed when all was well."""
    if os.path.exists(folder / REFERENCE):
        return Finding(name, "ok", f"{folder / REFERENCE} is there")
    detail = f"{folder} holds no {REFERENCE}: a blurred or shifted camera is not noticed"
    return Finding(name, "warn", detail, f"while good parts run: edge control {control or 'SOCKET'} health reference")


# -- keys -------------------------------------------------------------------------------------------------------------


def keys(path: Path, security: SecurityConfig) -> Iterator[Finding]:
    """What `edge.commands.protection` does not say of keys: whether a folder lets others put theirs in their place."""
    named = {"key": security.key, "server_key": security.server_key, "allow": security.allow}
    files = {key: Path(file) for key, file in named.items() if file is not None}
    for key, file in files.items():
        name = f"{path}: security.{key}"
        try:
            mode = stat.S_IMODE(file.parent.stat().st_mode)
        except OSError:
            continue  # the missing file is told of already
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            detail = f"{file.parent} has mode {mode:04o}: others may replace {file.name}"
            yield Finding(name, "fail", detail, f"chmod go-w {file.parent}")
        elif os.path.isfile(file):
            yield Finding(name, "ok", f"{file}, mode {stat.S_IMODE(file.stat().st_mode):04o}; keys do not expire")


def secret_file(name: str, file: Path, for_group: bool = False) -> Finding:
    """Whether a file of password hashes or a private key is there, for its owner alone.

    With ``for_group`` its group may read it: `edge install` makes the monitor's files root's, for the monitor's group,
    which no person is in.
    """
    try:
        status = file.stat()
    except OSError as error:
        return Finding(name, "fail", f"{file} cannot be read ({error.strerror})", "make it, or correct the path")
    mode = stat.S_IMODE(status.st_mode)
    if mode & (stat.S_IRWXO | (stat.S_IWGRP if for_group else stat.S_IRWXG)):
        detail = f"{file} has mode {mode:04o}: others may {'read or change' if for_group else 'read'} it"
        return Finding(name, "fail", detail, f"chmod {640 if for_group else 600} {file}")
    if mode & stat.S_IRGRP and status.st_gid != _monitors_group(status.st_gid):
        detail = f"{file} may be read by the group {status.st_gid}, whose members are others"
        return Finding(name, "fail", detail, f"chgrp {MONITOR} {file}")
    return Finding(name, "ok", f"{file}, mode {mode:04o}")


def _monitors_group(otherwise: int) -> int:
    """Return the number of the monitor's group, or ``otherwise`` where it is not installed as a service."""
    try:
        return grp.getgrnam(MONITOR).gr_gid
    except KeyError:
        return otherwise

"""What `edge doctor` finds of the machine itself: processors, clocks, memory, rights, network buffers.

Whatever stands in files is read below ``proc``, ``system`` and ``devices``, which tests set to folders of their own.
"""

from __future__ import annotations

import ctypes
import grp
import os
import platform
import threading
from collections.abc import Iterator
from pathlib import Path

from edge.commands.finding import Finding

PROC, SYSTEM, DEVICES, TEGRA = Path("/proc"), Path("/sys"), Path("/dev"), Path("/etc/nv_tegra_release")
CPUS_WANTED = 2
SLOW_CLOCKS = frozenset({"hpet", "acpi_pm", "jiffies", "refined-jiffies"})
MEMORY_WARN_MB = 1000
BYTES_PER_MS = 125_000
"""Of a GigE Vision camera at its full rate, 1 Gbit/s."""
RECEIVE_WANTED = 8 << 20
"""Of `net.core.rmem_max`: 67 ms of a GigE camera at its full rate: as long as a reader may have to wait for a core."""
SEND_WANTED = 212_992
"""Of `net.core.wmem_max`: the kernel's own default.  What the host sends to a camera are commands."""
BACKLOG_WANTED = 5000
"""Of `net.core.netdev_max_backlog`, packets: 60 ms of 1500 bytes each at 1 Gbit/s; the default of 1000 is 12 ms."""

_BUFFERS = {"rmem_max": RECEIVE_WANTED, "wmem_max": SEND_WANTED, "netdev_max_backlog": BACKLOG_WANTED}
_STA_UNSYNC = 0x40  # <linux/timex.h>
_GPU_NODES = ("nvmap", "nvhost-*", "nvgpu/*/*", "nvidia[0-9c-]*", "dri/renderD*")
"""Of a Jetson: JetPack 6 has the first three, later ones may have others."""


def examine(
    proc: Path = PROC, system: Path = SYSTEM, devices: Path = DEVICES, tegra: Path = TEGRA
) -> Iterator[Finding]:
    """Yield what was found."""
    yield host(tegra)
    yield cpus()
    yield governor(system)
    yield memory(proc)
    yield swap(proc)
    yield clock_source(system)
    yield time_synchronised()
    yield from root()
    yield real_time()
    if tegra.exists():
        yield gpu_devices(devices)
    yield from buffers(proc)


def host(tegra: Path = TEGRA) -> Finding:
    """Which system runs here, and which JetPack where it is a Jetson."""
    try:
        name = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        name = "Linux"
    try:  # "# R36 (release), REVISION: 4.3, GCID: ..."
        release = tegra.read_text(encoding="ascii", errors="replace").partition("GCID")[0].strip("# ,\n")
    except OSError:
        release = ""
    jetson = f", Jetson Linux {release}" if release else ""
    return Finding("system", "ok", f"{name}, kernel {platform.release()}, {platform.machine()}{jetson}")


def cpus() -> Finding:
    """Whether engine and signal thread have a core each."""
    count = len(os.sched_getaffinity(0))
    if count >= CPUS_WANTED:
        return Finding("CPUs", "ok", f"{count} may be used")
    return Finding(
        "CPUs", "warn", f"only {count} may be used: the engine delays the signal thread", "give it 2 or more"
    )


def governor(system: Path = SYSTEM) -> Finding:
    """Whether the cores keep their clock while they wait for the next part."""
    files = system.glob("devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")
    found = {file.read_text(encoding="ascii").strip() for file in files}
    if not found:
        return Finding("CPU governor", "ok", "no clock scaling is told here")
    if found == {"performance"}:
        return Finding("CPU governor", "ok", "performance")
    return Finding(
        "CPU governor",
        "warn",
        f"{', '.join(sorted(found))}: cores slow down between parts, and the next part pays",
        "cpupower frequency-set --governor performance; on a Jetson: nvpmodel -m 0 and jetson_clocks",
    )


def _meminfo(proc: Path) -> dict[str, int]:
    """Return the fields of /proc/meminfo in MB."""
    lines = (line.split() for line in (proc / "meminfo").read_text(encoding="ascii").splitlines())
    return {name.rstrip(":"): int(kib) * 1024 // 1_000_000 for name, kib, *_ in lines}


def memory(proc: Path = PROC) -> Finding:
    """Whether memory is left."""
    free = _meminfo(proc)["MemAvailable"]
    if free >= MEMORY_WARN_MB:
        return Finding("memory", "ok", f"{free} MB available")
    return Finding(
        "memory",
        "warn",
        f"only {free} MB available: the kernel may end the station",
        "end other programs, or add memory",
    )


def swap(proc: Path = PROC) -> Finding:
    """Whether the station's memory may be written out."""
    size = _meminfo(proc)["SwapTotal"]
    if not size:
        return Finding("swap", "ok", "none")
    return Finding(
        "swap",
        "warn",
        f"{size} MB: a page that must be read back costs a part its deadline",
        "swapoff -a and remove it from /etc/fstab (zram: disable nvzramconfig), or MemorySwapMax=0 in the systemd unit",
    )


def clock_source(system: Path = SYSTEM) -> Finding:
    """Whether reading the clock is fast."""
    try:
        file = system / "devices/system/clocksource/clocksource0/current_clocksource"
        source = file.read_text(encoding="ascii").strip()
    except OSError as error:
        return Finding("clock source", "warn", f"cannot be told ({error.strerror})", "run edge doctor on the host")
    if source in SLOW_CLOCKS:
        return Finding(
            "clock source", "warn", f"{source}: each reading is a slow system call", "find why not tsc (dmesg)"
        )
    return Finding("clock source", "ok", source)


class _Timeval(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_usec", ctypes.c_long))


class _Timex(ctypes.Structure):
    """`struct timex` of adjtimex(2), on 64-bit Linux."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", _Timeval),
        ("rest", ctypes.c_byte * 128),
    )


def time_synchronised() -> Finding:
    """Ask the kernel whether anything disciplines its wall clock (adjtimex(2) with modes 0: nothing changes)."""
    told = _Timex()
    if ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(told)) < 0:
        return Finding(
            "wall clock",
            "warn",
            f"cannot be told ({os.strerror(ctypes.get_errno())})",
            "run edge doctor on the host, not in a container",
        )
    return synchronised(told.status, told.maxerror)


def synchronised(status: int, error_us: int) -> Finding:
    """Judge what adjtimex(2) told: ``status`` bits, and the largest error in microseconds."""
    if not status & _STA_UNSYNC:
        return Finding("wall clock", "ok", f"synchronised, at most {error_us / 1000:.1f} ms off")
    return Finding(
        "wall clock",
        "warn",
        "not synchronised: journals of two hosts, and what people remember, will not agree (no verdict depends on it)",
        "timedatectl set-ntp true, or install chrony and name the plant's time server",
    )


def root() -> Iterator[Finding]:
    """Whether the findings about rights are worth anything: root may do what the services' users may not."""
    if os.geteuid() == 0:
        yield Finding(
            "rights",
            "warn",
            "looked at as root, who may do everything; the services are not root",
            "setpriv --reuid=edge --regid=edge --init-groups env EDGE_STATE=/var/lib/edge/LINE/station "
            "edge doctor FILE..., see docs/commissioning.md",
        )


def real_time() -> Finding:
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
            "real-time rights",
            "warn",
            f"SCHED_FIFO is refused ({refused[0]})",
            "set LimitRTPRIO= in the systemd unit; for a container: --ulimit rtprio=80",
        )
    return Finding("real-time rights", "ok", "SCHED_FIFO is granted")


def gpu_devices(devices: Path = DEVICES) -> Finding:
    """Whether this user may use a Jetson's GPU: without render, `cuInit` fails with 801."""
    nodes = [node for pattern in _GPU_NODES for node in sorted(devices.glob(pattern)) if not node.is_dir()]
    barred = [found for node in nodes if (found := device("GPU devices", node)).status != "ok"]
    if not nodes:
        return Finding("GPU devices", "fail", f"none in {devices}", "in a container: --runtime nvidia")
    return barred[0] if barred else Finding("GPU devices", "ok", f"all {len(nodes)} may be used")


def device(name: str, path: Path) -> Finding:
    """Whether a device file is there, and this user may use it."""
    try:
        status = path.stat()
    except OSError as error:
        return Finding(
            name, "fail", f"{path}: {error.strerror}", "check its cable and driver; in a container: --device"
        )
    if os.access(path, os.R_OK | os.W_OK):
        return Finding(name, "ok", f"{path} may be used")
    group = _group(status.st_gid)
    remedy = f"usermod -aG {group} {_user()}, and start anew; in a container: --group-add {status.st_gid}"
    return Finding(name, "fail", f"{path} belongs to group {group}, and this process is not in it", remedy)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _user() -> str:
    return os.environ.get("USER", str(os.geteuid()))


def buffers(proc: Path = PROC) -> Iterator[Finding]:
    """How much of a camera's packets the kernel can hold.  Only GigE cameras need more than a system has by default."""
    for name, wanted in _BUFFERS.items():
        try:
            found = int((proc / "sys/net/core" / name).read_text(encoding="ascii"))
        except OSError as error:  # a container's network namespace does not show all of them
            yield Finding(f"network {name}", "ok", f"cannot be told ({error.strerror})", "run edge doctor on the host")
            continue
        told = f"{found}, {found / BYTES_PER_MS:.1f} ms of a GigE camera" if name == "rmem_max" else f"{found}"
        remedy = f"if a GigE camera is used: sysctl -w net.core.{name}={wanted}, and keep it in /etc/sysctl.d"
        yield Finding(f"network {name}", "ok", told, "" if found >= wanted else remedy)

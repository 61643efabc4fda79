"""Runs `edge` under what a unit forbids, as far as that can be had without systemd.

Usage: python sandboxed.py ROLE [the arguments of `edge`]

Applied are the unit's resource limits, its empty set of capabilities, NoNewPrivileges, MemoryDenyWriteExecute, its
filter of system calls and its address families.  Not applied is what needs a mount namespace or a control group.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.deploy.support_units import settings

_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_SET_MDWE = 24, 38, 65  # linux/prctl.h
CAP_SYS_NICE = 23  # linux/capability.h
_LAST_CAPABILITY = Path("/proc/sys/kernel/cap_last_cap")
_ALLOW, _EPERM = 0x7FFF0000, 0x00050001  # seccomp.h of libseccomp: SCMP_ACT_ALLOW, SCMP_ACT_ERRNO(EPERM)
_EQUAL = 4  # SCMP_CMP_EQ
_FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}  # bits/socket.h
_LIMITS = {
    "LimitRTPRIO": resource.RLIMIT_RTPRIO,
    "LimitMEMLOCK": resource.RLIMIT_MEMLOCK,
    "LimitNOFILE": resource.RLIMIT_NOFILE,
    "LimitCORE": resource.RLIMIT_CORE,
}

libc = ctypes.CDLL(None, use_errno=True)


class _Compare(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


def limit(unit: dict[str, list[str]]) -> set[int]:
    """Apply the resource limits, as far as this machine lets them be raised.

    Returns:
        The capabilities that must stand in for a limit: in a container, root may not raise that of real-time priority.
    """
    stands_in = set()
    for key, number in _LIMITS.items():
        if key not in unit:
            continue
        value = int(unit[key][0].replace("infinity", "-1").replace("64K", "65536"))
        try:
            resource.setrlimit(number, (value, value))
        except ValueError:
            if number == resource.RLIMIT_RTPRIO:
                stands_in.add(CAP_SYS_NICE)
    return stands_in


def disarm(unit: dict[str, list[str]], but: set[int]) -> None:
    """Drop the right to any capability ``but`` some, and to get one, and to make memory executable."""
    assert unit["CapabilityBoundingSet"] == [""]
    for capability in set(range(int(_LAST_CAPABILITY.read_text()) + 1)) - but:
        control(_PR_CAPBSET_DROP, capability)
    assert unit["NoNewPrivileges"] == ["yes"]
    control(_PR_SET_NO_NEW_PRIVS, 1)
    if unit.get("MemoryDenyWriteExecute") == ["yes"]:
        control(_PR_SET_MDWE, 1)


def control(option: int, value: int) -> None:
    """Call prctl(2)."""
    if libc.prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value})")


def system_calls(unit: dict[str, list[str]]) -> set[str]:
    """Return the system calls that the unit allows."""
    allowed: set[str] = set(members("@default"))
    for value in unit["SystemCallFilter"]:
        names = {name for word in value.removeprefix("~").split() for name in members(word)}
        allowed = allowed - names if value.startswith("~") else allowed | names
    return allowed


def members(name: str) -> list[str]:
    """Return the system calls of a set of systemd, and of the sets in it; or of one call, itself."""
    if not name.startswith("@"):
        return [name]
    said = subprocess.run(
        ["systemd-analyze", "--no-pager", "syscall-filter", name], capture_output=True, text=True, check=True
    )
    words = [line.strip() for line in said.stdout.splitlines()[1:]]
    return [call for word in words if word and not word.startswith("#") for call in members(word)]


def filter_calls(unit: dict[str, list[str]]) -> None:
    """Have the kernel refuse every other system call, and sockets of other families, from now on."""
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(_EPERM)))
    families = [_FAMILIES[name] for name in unit["RestrictAddressFamilies"][0].split()]
    for name in system_calls(unit):
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number < 0:  # of another machine
            continue
        if name != "socket":
            check(seccomp.seccomp_rule_add(context, ctypes.c_uint32(_ALLOW), number, 0))
            continue
        for family in families:
            only = _Compare(0, _EQUAL, family, 0)
            check(seccomp.seccomp_rule_add_array(context, ctypes.c_uint32(_ALLOW), number, 1, ctypes.byref(only)))
    check(seccomp.seccomp_load(context))


def check(result: int) -> None:
    """Raise where a call of libseccomp failed."""
    if result:
        raise OSError(-result, "libseccomp")


if __name__ == "__main__":
    of_unit = settings(sys.argv[1])
    disarm(of_unit, limit(of_unit))
    filter_calls(of_unit)
    os.execv(sys.executable, [sys.executable, "-m", "edge", *sys.argv[2:]])

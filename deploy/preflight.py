"""Say clearly what the system lacks, before a virtual environment is made.  Runs on Python 3.6 and later."""

import importlib.util
import platform
import sys

FIRST, LAST = (3, 10), (3, 13)


def problems():
    """Return what is missing, each with its remedy."""
    found = []
    here = sys.version_info[:2]
    version = "{}.{}".format(*here)
    if not FIRST <= here <= LAST:
        found.append(f"Python {version} is not supported; 3.10 to 3.13 are. Name one: make PYTHON=python3.11 demo")
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        found.append(f"Python's venv is missing. On Debian or Ubuntu: sudo apt-get install python{version}-venv")
    if platform.system() != "Linux":
        found.append(f"This is {platform.system()}; the station needs Linux (eventfd, CLOCK_MONOTONIC).")
    if platform.machine() not in ("x86_64", "aarch64"):
        found.append(f"There are no wheels for {platform.machine()}; x86-64 and aarch64 are served.")
    return found


if __name__ == "__main__":
    lacking = problems()
    for line in lacking:
        print("missing: " + line, file=sys.stderr)
    sys.exit(1 if lacking else 0)

"""Run a line that nobody attends, hurt it, and report as JSON.

Usage: python -m tests.faults.unattended [--minutes N] [--out DIR]

Needs root (a small disk is mounted) and the Debian packages prometheus, prometheus-alertmanager and chromium.  Exits
with 1 if something will not do, and says what on stderr.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from pathlib import Path

from tests.faults.unattended.run import unattended


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--out", type=Path, help="folder for screenshots, logs, journals; a new one without it")
    options = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))  # and give back what was mounted and started
    out = options.out or Path(tempfile.mkdtemp(prefix="edge-unattended-"))
    report = unattended(options.minutes, out, lambda text: print(text, file=sys.stderr, flush=True))
    print(json.dumps({**report.as_dict(), "out": str(out)}, indent=1))
    for problem in report.problems:
        print(f"problem: {problem}", file=sys.stderr)
    sys.exit(bool(report.problems))


if __name__ == "__main__":
    main()

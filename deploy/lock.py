"""Resolve the locked requirements: one file each for runtime, development, training, and what a Jetson adds.

The resolution is universal: it holds for CPython 3.10 to 3.13 on x86-64 and aarch64 (markers where they differ).
`make lock` keeps every version that still fits, so that a new requirement changes nothing else; `make upgrade` takes
the newest of each.  It needs `uv`, which it installs into the virtual environment.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "requirements"
ACCELERATOR = ("nvidia-", "cuda-", "triton")
"""Not locked: they come with PyTorch's wheel for the machine at hand, and a wheel without CUDA needs none."""

RUNTIME = ["cpu", "monitor", "challenge"]
"""What images, bundles and `make demo` install: every process of a line, whatever its configuration switches on."""
DEV = [*RUNTIME, "model", "parquet", "dev"]
FILES = {"runtime": RUNTIME, "dev": DEV, "train": [*DEV, "train"]}


def main() -> None:
    """Write requirements/*.txt."""
    parser = argparse.ArgumentParser(description="Resolve the locked requirements.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions, not those locked before")
    options = ["--upgrade"] if parser.parse_args().upgrade else []
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "uv"], check=True)
    for name, extras in FILES.items():
        chosen = [part for extra in extras for part in ("--extra", extra)]
        resolve(name, "pyproject.toml", *chosen, "--constraint", "requirements/constraints.txt", *options)
    # Beside the runtime's versions: Dockerfile.jetson installs this file on top of them, without looking further.
    resolve("jetson", "requirements/jetson.in", "--constraint", "requirements/runtime.txt", *options)


def resolve(name: str, source: str, *options: str) -> None:
    """Write requirements/NAME.txt for what ``source`` names."""
    path = FOLDER / f"{name}.txt"
    command = [sys.executable, "-m", "uv", "pip", "compile", source, *options, "--output-file", str(path)]
    universal = ["--universal", "--python-version", "3.10", "--quiet", "--no-annotate", "--no-header"]
    subprocess.run([*command, *universal], cwd=ROOT, check=True)
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith(ACCELERATOR)), encoding="utf-8")


if __name__ == "__main__":
    main()

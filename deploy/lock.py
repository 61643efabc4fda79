"""Resolve the locked requirements: one file each for runtime, development and training.

The resolution is universal: it holds for CPython 3.10 to 3.13 on x86-64 and aarch64 (markers where they differ).
Run it with `make lock`.  It needs `uv`, which it installs into the virtual environment.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
ACCELERATOR = ("nvidia-", "cuda-", "triton")
"""Not locked: they come with PyTorch's wheel for the machine at hand, and a wheel without CUDA needs none."""

FILES = {
    "runtime": ["cpu"],
    "dev": ["cpu", "model", "parquet", "dev"],
    "train": ["cpu", "model", "parquet", "dev", "train"],
}


def main() -> None:
    """Write requirements/*.txt."""
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "uv"], check=True)
    for name, extras in FILES.items():
        command = [
            *(sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml"),
            *(part for extra in extras for part in ("--extra", extra)),
            *("--universal", "--python-version", "3.10", "--upgrade", "--quiet", "--no-annotate", "--no-header"),
            *("--constraint", "requirements/constraints.txt"),
            *("--output-file", f"requirements/{name}.txt"),
        ]
        subprocess.run(command, cwd=ROOT, check=True)
        path = ROOT / "requirements" / f"{name}.txt"
        kept = [line for line in path.read_text().splitlines(keepends=True) if not line.startswith(ACCELERATOR)]
        path.write_text("".join(kept))


if __name__ == "__main__":
    main()

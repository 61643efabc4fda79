"""Check ``edge model prepare`` against the exporting frameworks themselves, in an environment of its own.

    python tests/exporters/check.py FOLDER [--only NAME ...]

Makes a virtual environment in FOLDER (about 6 GB with PyPI's torch; an index with CPU builds, by PIP_EXTRA_INDEX_URL,
makes it 1 GB), installs the frameworks there, and for each network: draws seeded weights, batch-norm statistics and
class biases, exports it as the framework does, prepares it as `edge model prepare` does, and compares the prepared
graph and our suppression with the framework's own decoding and suppression, before and after suppression: at least 50
detections each, boxes within 1 px, scores within 0.001, classes alike.  Prints a table; exit status 1 where anything is
off, 2 where a framework could not be installed.

Nothing of the frameworks is a dependency of the product or part of it: they are installed there, run, and compared.
Their licences (AGPL-3.0, GPL-3.0, Apache-2.0) bind whoever distributes them.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
REQUIREMENTS = HERE / "requirements.txt"
# Installed without their own requirements, which reach from cloud storage to labelling services.
FRAMEWORKS = {
    "ultralytics": ("ultralytics==8.4.190", "ultralytics-thop==2.2.3"),
    "yolov5": ("yolov5==7.0.14",),
    "yolov7": ("yolov7-package==0.0.13",),
    "yolox": ("pixeltable-yolox==0.4.3",),
}


def main() -> int:
    """Install, compare, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="where the environment is, or is to be made")
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[], help="networks whose name contains NAME")
    arguments = parser.parse_args()
    python = environment(arguments.folder.resolve())
    missing = [name for name, packages in FRAMEWORKS.items() if not installed(python, name, packages)]
    status = compare(python, [name for name in FRAMEWORKS if name not in missing], arguments.only)
    for name in missing:
        print(f"not compared: {name} ({', '.join(FRAMEWORKS[name])}) could not be installed, see above")
    return status or (2 if missing else 0)


def environment(folder: Path) -> Path:
    """Return the interpreter of the environment in ``folder``, made or brought up to date."""
    python = folder / "bin" / "python"
    stamp = folder / ".installed"
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + repr(FRAMEWORKS).encode()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != wanted:
        print(f"installing into {folder}; the first time this takes minutes", file=sys.stderr)
        venv.create(folder, with_pip=True)
        pip(python, "--requirement", str(REQUIREMENTS), check=True)
        stamp.write_text(wanted)
    return python


def installed(python: Path, name: str, packages: tuple[str, ...]) -> bool:
    """Install a framework, and tell whether that worked."""
    done = pip(python, "--no-deps", *packages)
    if not done:
        print(f"{name} could not be installed", file=sys.stderr)
    return done


def pip(python: Path, *arguments: str, check: bool = False) -> bool:
    """Run ``pip install`` and tell whether it succeeded."""
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, check=check).returncode == 0


def compare(python: Path, frameworks: list[str], only: list[str]) -> int:
    """Run the comparison in the environment, in a folder that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="exporters-") as work:
        # The frameworks keep settings in the user's home and install packages on their own unless they are told not to.
        own = {"PYTHONPATH": str(ROOT), "YOLO_CONFIG_DIR": work, "YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true"}
        command = [str(python), "-m", "tests.exporters.compare", *frameworks, *(f"--only={name}" for name in only)]
        return subprocess.run(command, check=False, cwd=work, env={**os.environ, **own}).returncode


if __name__ == "__main__":
    sys.exit(main())

"""Bundles so small that an installer can be tried on them, and how to run it."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "deploy" / "bundle"
PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"
ISOLATED = ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--net", "--"]
"""A network namespace without so much as a loopback address."""


def script(name: str) -> ModuleType:
    """Import a script of the bundle."""
    specification = importlib.util.spec_from_file_location(f"bundle_{name}", BUNDLE / f"{name}.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = module  # dataclasses look themselves up
    specification.loader.exec_module(module)
    return module


def tiny_wheel(folder: Path, version: str, requires: str = "") -> Path:
    """Write a wheel of `edge_inspect` that can only tell its version."""
    path = folder / f"edge_inspect-{version}-py3-none-any.whl"
    information = f"edge_inspect-{version}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("edge/__init__.py", "")
        wheel.writestr(
            "edge/__main__.py", f"def main():\n    print({version!r})\nif __name__ == '__main__':\n    main()\n"
        )
        wheel.writestr(
            f"{information}/METADATA", f"Metadata-Version: 2.1\nName: edge-inspect\nVersion: {version}\n{needs}"
        )
        wheel.writestr(f"{information}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{information}/entry_points.txt", "[console_scripts]\nedge = edge.__main__:main\n")
        wheel.writestr(f"{information}/RECORD", "")
    return path


def tiny_bundle(make: ModuleType, folder: Path, version: str, requires: str = "", **about: str) -> Path:
    """Write a bundle that the real installer takes."""
    (folder / "wheels").mkdir(parents=True)
    tiny_wheel(folder / "wheels", version, requires)
    (folder / "models" / "sim").mkdir(parents=True)
    (folder / "models" / "sim" / "model.onnx").write_bytes(b"weights")
    (folder / "requirements.txt").write_text("".join(f"{line}\n" for line in make.hashed(folder / "wheels")))
    told = {"version": version, "python": PYTHON, "machine": platform.machine(), "glibc": "2.17", **about}
    (folder / "bundle.json").write_text(json.dumps(told))
    (folder / "install.py").write_bytes((BUNDLE / "install.py").read_bytes())
    seal(make, folder)
    return folder


def seal(make: ModuleType, folder: Path) -> None:
    sums = folder / "SHA256SUMS"
    sums.unlink(missing_ok=True)
    sums.write_text("".join(f"{line}\n" for line in make.checksums(folder)))


def linked(file: Path) -> None:
    """Put a link to the right content in place of a file."""
    file.symlink_to(file.rename(file.parents[1] / "away"))


def run(bundle: Path, command: str, prefix: Path, *before: str) -> subprocess.CompletedProcess[str]:
    """Run a bundle's installer, as its user does."""
    line = [*before, sys.executable, str(bundle / "install.py"), command, "--prefix", str(prefix)]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=600)


def says(prefix: Path) -> str:
    return subprocess.run([prefix / "bin" / "edge"], capture_output=True, text=True, check=True).stdout.strip()

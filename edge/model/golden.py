"""Golden cases: synthetic frames kept as seeds, and the candidates expected for them.

Frames are drawn from ``RandomState``, whose stream is frozen for all NumPy versions, with additions, multiplications,
divisions and integer steps alone, which IEEE 754 rounds alike everywhere; so a seed gives the same bytes on every
machine.  A checksum a frame proves it.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge.engine.base import Engine
from edge.errors import ModelError
from edge.model.package import GOLDEN_FOLDER, ModelPackage

GOLDEN_FILE = f"{GOLDEN_FOLDER}/golden.npz"
SEARCHED = 96  # seeds tried when a package is prepared
KEPT = 6  # of them, those that excite most classes most

Plane = NDArray[np.float64]


@dataclass(frozen=True)
class GoldenCase:
    """A synthetic frame, (H, W, C) uint8, and the (K, 6) float32 candidates expected for it."""

    seed: int
    frame: NDArray[np.uint8]
    expected: NDArray[np.float32]


def synthetic_frame(seed: int, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Draw a frame, (H, W, C) uint8: a graded, noisy ground with stripes, blotches, spots and scratches."""
    random = np.random.RandomState(seed)
    height, width, channels = shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    plane: Plane = (
        random.uniform(30, 210) + random.uniform(-40, 40) * (x / width) + random.uniform(-40, 40) * (y / height)
    )
    plane += random.uniform(0, 30) * (random.random_sample((height, width)) - 0.5)
    if random.randint(2):
        _stripes(plane, random, x, y)
    if random.randint(2):
        _blotches(plane, random)
    for _ in range(random.randint(0, 13)):
        _spot(plane, random, x, y)
    for _ in range(random.randint(0, 7)):
        _scratch(plane, random, x, y)
    tint = random.uniform(0.6, 1.4, channels) if channels > 1 else np.ones(1)
    return np.clip(plane[..., None] * tint, 0, 255).astype(np.uint8)


def _stripes(plane: Plane, random: np.random.RandomState, x: Plane, y: Plane) -> None:
    period = random.randint(6, 64)
    phase = (x * random.randint(-2, 3) + y * random.randint(1, 3)) % period / period
    plane += random.uniform(5, 60) * (np.abs(phase - 0.5) * 4 - 1)


def _blotches(plane: Plane, random: np.random.RandomState) -> None:
    side = random.randint(4, 33)
    height, width = plane.shape
    coarse = random.random_sample((height // side + 1, width // side + 1)) - 0.5
    plane += random.uniform(10, 80) * coarse.repeat(side, axis=0).repeat(side, axis=1)[:height, :width]


def _spot(plane: Plane, random: np.random.RandomState, x: Plane, y: Plane) -> None:
    height, width = plane.shape
    centre_x, centre_y = random.uniform(0, width), random.uniform(0, height)
    radius_x, radius_y = random.uniform(0.02, 0.25) * width, random.uniform(0.02, 0.25) * height
    strength = random.uniform(30, 160) * (1 if random.randint(2) else -1)
    rows = slice(max(0, int(centre_y - radius_y)), int(centre_y + radius_y) + 2)
    columns = slice(max(0, int(centre_x - radius_x)), int(centre_x + radius_x) + 2)
    across, down = (x[rows, columns] - centre_x) / radius_x, (y[rows, columns] - centre_y) / radius_y
    plane[rows, columns] += strength * np.maximum(0.0, 1.0 - across * across - down * down)


def _scratch(plane: Plane, random: np.random.RandomState, x: Plane, y: Plane) -> None:
    height, width = plane.shape
    start_x, start_y = random.uniform(0, width), random.uniform(0, height)
    step_x, step_y = random.uniform(-1, 1), random.uniform(0.1, 1)
    length = random.uniform(0.2, 0.9) * height
    half_width = random.uniform(0.5, 3.0)
    strength = random.uniform(30, 140) * (1 if random.randint(2) else -1)
    along = ((x - start_x) * step_x + (y - start_y) * step_y) / (step_x * step_x + step_y * step_y)
    off_x, off_y = x - start_x - along * step_x, y - start_y - along * step_y
    near = off_x * off_x + off_y * off_y <= half_width * half_width
    plane[near & (along >= 0) & (along <= length)] += strength


def make_golden(package: ModelPackage, engine: Engine, progress: Callable[[int, int], None]) -> bytes:
    """Search for seeds that excite the network, and return them with its outputs, as the bytes of ``golden.npz``.

    Of ``SEARCHED`` seeds those are kept, one after the other, that most raise the sum over classes of the best score
    seen (above that of the last candidate), so that a confusion of classes or channels has something to show on.

    Args:
        progress: called with (done, of how many).

    Raises:
        ModelError: the network returns non-finite values.
    """
    shape = package.manifest.input.shape
    classes = len(package.manifest.classes)
    best = np.zeros((SEARCHED, classes))
    for seed in range(SEARCHED):
        candidates = engine.run(synthetic_frame(seed, shape))
        if not np.isfinite(candidates).all():
            raise ModelError(
                f"{package.identity} returns values that are no numbers on synthetic frame {seed}.",
                "check the export and its training.",
            )
        above_end = candidates[:, 4] - candidates[:, 4].min()  # the gate can compare a full list only down to its end
        np.maximum.at(best[seed], candidates[:, 5].astype(np.intp), above_end)
        progress(seed + 1, SEARCHED)
    seeds: list[int] = []
    covered = np.zeros(classes)
    for _ in range(KEPT):
        gain = np.maximum(best, covered).sum(axis=1)
        gain[seeds] = -1.0
        seeds.append(int(gain.argmax()))
        covered = np.maximum(covered, best[seeds[-1]])
    frames = [synthetic_frame(seed, shape) for seed in seeds]
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        seeds=np.array(seeds, np.int64),
        checksums=np.array([zlib.crc32(frame.tobytes()) for frame in frames], np.int64),
        expected=np.stack([engine.run(frame).copy() for frame in frames]),
    )
    return buffer.getvalue()


def golden_cases(package: ModelPackage) -> Iterator[GoldenCase]:
    """Yield the golden cases of a package.

    Raises:
        ModelError: the golden file is missing, unreadable or for another network, or a frame cannot be drawn again.
    """
    where = package.path / GOLDEN_FILE
    manifest = package.manifest
    seeds, checksums, expected = _read_golden(package.read(GOLDEN_FILE), where)
    shape = (len(seeds), manifest.output.candidates, 6)
    if not len(seeds) or len(checksums) != len(seeds) or expected.shape != shape:
        raise ModelError(
            f"{where} holds outputs of shape {expected.shape} for {len(seeds)} frames, not {shape}.",
            "prepare the package again.",
        )
    for seed, checksum, output in zip(seeds.tolist(), checksums.tolist(), expected, strict=True):
        frame = synthetic_frame(seed, manifest.input.shape)
        if zlib.crc32(frame.tobytes()) != checksum:
            raise ModelError(
                f"Synthetic frame {seed} of {where} comes out differently here.",
                "prepare the package again with this version of the software.",
            )
        yield GoldenCase(seed, frame, output)


def _read_golden(content: bytes, where: Path) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return file["seeds"], file["checksums"], file["expected"]
    except Exception as error:  # zipfile, zlib and NumPy each raise classes of their own
        raise ModelError(f"{where} is no golden file: {error}.", "copy or prepare the package again.") from error

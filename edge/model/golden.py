"""Golden cases: synthetic frames kept as seeds, and the candidates and raw heads expected for them.

Frames are drawn from ``RandomState``, whose stream is frozen for all NumPy versions, with additions, multiplications,
divisions and integer steps alone, which IEEE 754 rounds alike everywhere; so a seed gives the same bytes on every
machine.  A checksum a frame proves it.

The file says nothing of the graph that it was made from, so a package made from another, in a lower precision, keeps
the golden file of its parent: what it must reproduce are its parent's outputs.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge.errors import ModelError
from edge.model.package import CANDIDATE_WIDTH, GOLDEN_FOLDER, Heads, Manifest, ModelPackage

GOLDEN_FILE = f"{GOLDEN_FOLDER}/golden.npz"
HEADS_BYTES = 600_000  # most that the golden heads may take before compression; beyond, some anchors are left out

Plane = NDArray[np.float64]
Seeds = tuple[int, ...]


@dataclass(frozen=True)
class GoldenCase:
    """A synthetic frame, and what is expected for it.

    Attributes:
        seeds: of ``collage``.
        frame: (H, W, C) uint8.
        expected: (K, 6) float32 candidates.
        rows: (R,) int64, rising: the anchors whose heads are kept, the same in all cases of a package.
        heads: (R, columns) float32, the raw heads of these anchors.
    """

    seeds: Seeds
    frame: NDArray[np.uint8]
    expected: NDArray[np.float32]
    rows: NDArray[np.int64]
    heads: NDArray[np.float32]


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


def collage(seeds: Seeds, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Draw a frame, (H, W, C) uint8: the synthetic frame of the first seed, over it a window of each further one."""
    frame = synthetic_frame(seeds[0], shape)
    for seed in seeds[1:]:
        random = np.random.RandomState(seed)
        height, width = (max(1, int(random.uniform(0.2, 1.0) * side)) for side in shape[:2])
        top, left = random.randint(shape[0] - height + 1), random.randint(shape[1] - width + 1)
        opacity = random.uniform(0.2, 1.0)
        window = (slice(top, top + height), slice(left, left + width))
        over = synthetic_frame(seed, shape)[window].astype(np.float64)
        under = frame[window].astype(np.float64)
        frame[window] = (under + opacity * (over - under)).astype(np.uint8)
    return frame


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


def golden_bytes(
    frames: Sequence[tuple[Seeds, NDArray[np.uint8]]],
    candidates: NDArray[np.float32],
    heads: NDArray[np.float32],
    form: Heads,
) -> bytes:
    """Return the content of ``golden.npz``.

    Args:
        frames: F frames, with the seeds of each.
        candidates: (F, K, 6), expected for them.
        heads: (F, N, columns), expected for them.
        form: of the heads; where they are too many, ``kept_rows`` of them are kept.
    """
    seeds = np.full((len(frames), max(len(seeds) for seeds, _ in frames)), -1, np.int64)
    for row, (chain, _) in zip(seeds, frames, strict=True):
        row[: len(chain)] = chain
    rows = kept_rows(heads, form)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        seeds=seeds,
        checksums=np.array([zlib.crc32(frame.tobytes()) for _, frame in frames], np.int64),
        expected=candidates,
        rows=rows,
        heads=heads[:, rows],
    )
    return buffer.getvalue()


def kept_rows(heads: NDArray[np.float32], form: Heads) -> NDArray[np.int64]:
    """Return the anchors, rising, whose heads are kept: all of them as long as they fit into ``HEADS_BYTES``.

    Otherwise each level gets a share by its size, at least 8 anchors: half of them evenly spaced, half those that
    answer most to the frames, by the sum over columns of their spread in units of the column's.
    """
    frames, anchors, columns = heads.shape
    room = HEADS_BYTES // (frames * columns * heads.itemsize)
    if anchors <= room:
        return np.arange(anchors)
    spread = heads.std(axis=0)
    answer = (spread / (spread.mean(axis=0) + 1e-9)).sum(axis=1)
    kept: list[NDArray[np.int64]] = []
    start = 0
    for size in form.levels:
        count = min(size, max(8, room * size // anchors))
        rank = answer[start : start + size].copy()
        rank[np.linspace(0, size - 1, count // 2).astype(np.int64)] = np.inf
        kept.append(start + np.sort(np.argsort(-rank, kind="stable")[:count]))
        start += size
    return np.concatenate(kept)


def golden_cases(package: ModelPackage) -> Iterator[GoldenCase]:
    """Yield the golden cases of a package.

    Raises:
        ModelError: the golden file is missing, unreadable or for another network, or a frame cannot be drawn again.
    """
    where = package.path / GOLDEN_FILE
    content = _read_golden(package.read(GOLDEN_FILE), where)
    problem = _unfit(content, package.manifest)
    if problem:
        raise ModelError(f"{where} {problem}.", "prepare the package again.")
    seeds, checksums, rows = content["seeds"], content["checksums"].tolist(), content["rows"]
    for chain, checksum, expected, heads in zip(seeds, checksums, content["expected"], content["heads"], strict=True):
        drawn: Seeds = tuple(int(seed) for seed in chain if seed >= 0)
        frame = collage(drawn, package.manifest.input.shape)
        if zlib.crc32(frame.tobytes()) != checksum:
            raise ModelError(
                f"Synthetic frame {drawn} of {where} comes out differently here.",
                "prepare the package again with this version of the software.",
            )
        yield GoldenCase(drawn, frame, expected, rows, heads)


def _unfit(content: dict[str, NDArray[Any]], manifest: Manifest) -> str:
    """Say why the arrays of a golden file cannot be of that package, or ""."""
    count, rows = len(content["seeds"]), content["rows"]
    shapes = {
        "seeds": (count, content["seeds"].shape[-1]),
        "checksums": (count,),
        "expected": (count, manifest.output.candidates, CANDIDATE_WIDTH),
        "rows": (len(rows),),
        "heads": (count, len(rows), manifest.heads.columns),
    }
    for name, shape in shapes.items():
        if content[name].shape != shape:
            return f"holds {name} of shape {content[name].shape} for {count} frames, not {shape}"
    if not count or (content["seeds"][:, 0] < 0).any():
        return "holds no frame, or one without a seed"
    starts = np.cumsum([0, *manifest.heads.levels])
    if (np.diff(rows) <= 0).any() or not all(((rows >= a) & (rows < b)).any() for a, b in pairwise(starts)):
        return f"holds no heads of one of the levels {list(manifest.heads.levels)}"
    if rows[0] < 0 or rows[-1] >= starts[-1]:
        return f"holds heads of anchors {rows[0]} to {rows[-1]}, but there are {starts[-1]}"
    return ""


FILED = {"seeds": np.int64, "checksums": np.int64, "expected": np.float32, "rows": np.int64, "heads": np.float32}


def _read_golden(content: bytes, where: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            return {name: file[name].astype(kind, casting="safe") for name, kind in FILED.items()}
    except Exception as error:  # zipfile, zlib and NumPy each raise classes of their own
        raise ModelError(f"{where} is no golden file: {error}.", "copy or prepare the package again.") from error

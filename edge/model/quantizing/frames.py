"""The frames that a quantisation is calibrated and measured on, staged as a station stages them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.dataset import open_dataset
from edge.dataset.raw import SUFFIXES
from edge.engine.stage import Stager
from edge.errors import ModelError
from edge.model.package import Color, Input

CALIBRATED = 96
MEASURED = 48
FEWEST = 16
"""Pictures: at most so many to take ranges from, and as many others to measure effects on; at least so many in all."""


def staged_frames(folder: Path, target: Input) -> tuple[list[NDArray[np.uint8]], list[NDArray[np.uint8]]]:
    """Read pictures spread evenly over ``folder``, in order of name: to calibrate with, and to measure with.

    Every third one is for measuring, none is in both.  Each comes through the station's own staging.

    Args:
        folder: of pictures; where it holds none itself, a data set in any format that ``edge.dataset`` reads.  Masks
            count as no pictures.

    Returns:
        Two lists of (H, W, C) uint8 of the network's input.

    Raises:
        ModelError: no such folder, fewer than ``FEWEST`` pictures, or one that cannot be read.
        DatasetError: there is no picture in the folder itself, and it is no data set, or one with errors.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder} is not a folder.", "give a folder of pictures from the line (--frames).")
    files = _pictures(folder)
    if len(files) < FEWEST:
        raise ModelError(
            f"{folder} holds {len(files)} pictures, fewer than {FEWEST}.",
            f"give {CALIBRATED + MEASURED} or more ({', '.join(sorted(SUFFIXES))}) that show what the line shows.",
        )
    wanted = min(len(files), CALIBRATED + MEASURED)
    chosen = [files[index * len(files) // wanted] for index in range(wanted)]
    frames = [_staged(file, target) for file in chosen]
    return [f for i, f in enumerate(frames) if i % 3 != 2], frames[2::3]


def _pictures(folder: Path) -> list[Path]:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        return [entry.picture for entry in open_dataset(folder).entries]
    others = {file.stem for file in files if file.suffix.lower() != ".png"}
    return [file for file in files if not _is_mask(file, others)]


def _is_mask(file: Path, others: set[str]) -> bool:
    """Say whether it is a mask as a folder of classes has them: `x.png` or `x_mask.png` beside `x.jpg`."""
    return file.suffix.lower() == ".png" and (file.stem in others or file.stem.endswith("_mask"))


def _staged(file: Path, target: Input) -> NDArray[np.uint8]:
    color: Color = "mono8" if target.color == "mono8" else "bgr8"
    picture = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE if color == "mono8" else cv2.IMREAD_COLOR)
    if picture is None:
        raise ModelError(f"{file} cannot be read as a picture.", "remove it from the folder, or copy it again.")
    frame: NDArray[np.uint8] = np.asarray(picture, np.uint8)
    buffer = np.zeros(target.shape, np.uint8)
    return np.array(Stager(frame.shape, color, target, buffer).stage(frame), np.uint8)

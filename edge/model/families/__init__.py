"""Families of detection networks, one module each: what their exports return, and what decodes it."""

from __future__ import annotations

from edge.model.families.base import Family, Normalisation
from edge.model.families.yolov5 import YOLOV5
from edge.model.families.yolov8 import YOLOV8
from edge.model.families.yolov10 import YOLOV10
from edge.model.families.yolox import YOLOX

FAMILIES: dict[str, Family] = {
    "yolox": YOLOX,
    "yolov5": YOLOV5,
    "yolov8": YOLOV8,
    "yolov10": YOLOV10,
}

__all__ = ["FAMILIES", "Family", "Normalisation"]

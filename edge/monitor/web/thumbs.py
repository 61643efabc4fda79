"""Small pictures for the gallery, made once and kept in memory for a while."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from pathlib import Path

from PIL import Image

SIZE = (320, 256)
QUALITY = 75
KEPT = 400
"""Thumbnails, of about 8 KB each."""

_MODES = ("L", "RGB")


class Thumbs:
    """Thumbnails by key; the longest unused go.  One is made at a time: a PNG is decoded whole."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._known: OrderedDict[tuple[int, int], bytes] = OrderedDict()

    def get(self, key: tuple[int, int], path: Path) -> bytes:
        """Return the thumbnail of the picture at ``path``, a JPEG.

        Raises:
            OSError: it is gone, or is no picture.
        """
        with self._lock:
            known = self._known.get(key)
            if known is not None:
                self._known.move_to_end(key)
                return known
        with self._making:
            made = _make(path)
        with self._lock:
            self._known[key] = made
            while len(self._known) > KEPT:
                self._known.popitem(last=False)
        return made


def _make(path: Path) -> bytes:
    with Image.open(path, formats=("JPEG", "PNG")) as picture:
        picture.draft(None, SIZE)  # a JPEG is decoded at a fraction of its size
        small = picture if picture.mode in _MODES else picture.convert("RGB")
        small.thumbnail(SIZE)
        out = io.BytesIO()
        small.save(out, "JPEG", quality=QUALITY)
    return out.getvalue()

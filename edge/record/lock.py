"""A folder that one process alone writes into."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from edge.errors import ConfigError


def take_folder(folder: Path, what: str, whose: str) -> int:
    """Make the folder and lock it against other processes; the lock ends with this one.  Return what holds it.

    Args:
        what: is written there, as its section of the configuration is called: ``journal``.
        whose: every one of these needs a folder of its own, in words.

    Raises:
        ConfigError: it cannot be made, this user may not write there, or another process does.
    """
    key = f"{what}.folder"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ConfigError(f"{key} {folder}: {error.strerror}.", f"choose another {key}.") from None
    try:
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ConfigError(f"{key} {folder}: this user may not write there.", "give it to this user.")
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise ConfigError(
            f"{key} {folder}: another process writes its {what} there.",
            f"give every {whose} a folder of its own, or stop the other one.",
        ) from None
    except ConfigError:
        os.close(handle)
        raise
    return handle

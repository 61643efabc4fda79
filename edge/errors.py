"""One error tree.  Every error says what failed, with the data, and what to do.

::

    EdgeError
    ├── ConfigError          a file, path and value in a configuration that cannot be used
    │   └── BudgetError      a configuration whose time budget cannot hold
    ├── ModelError           a model package that is missing, corrupt, foreign or wrong
    │   └── GoldenMismatch   the engine does not reproduce the package's golden outputs
    ├── EngineError          an engine that cannot be built or run
    ├── CameraError          a camera that cannot be opened, or delivers what was not agreed
    ├── PlcError             a PLC that is unreachable, refuses, or answers nonsense
    ├── WireError            a message that cannot be understood
    ├── PortBusy             an address that another process holds
    ├── DatasetError         a data set that cannot be trained on
    ├── ControlError         a control command that cannot be delivered, or was refused
    ├── JournalError         a journal that is missing, damaged, or cannot be read
    ├── CommissionError      a measurement of the line that cannot be right
    ├── RecordingError       a recording that cannot be made, or read
    ├── EvidenceError        evidence that is missing, damaged, or cannot be read or written
    ├── ChallengeError       a challenge that cannot be made now, or records of challenges that cannot be trusted
    ├── AnnotationError      marks and acknowledgements that cannot be read or written
    ├── InstallError         an installation that cannot be made, or undone
    ├── ReplayMismatch       a replay whose verdicts are not those of the recording
    └── MissingExtra         an optional dependency that is not installed
"""

from __future__ import annotations


class EdgeError(Exception):
    """Base of all errors that a user can act on.

    Args:
        problem: what failed, naming the thing and the value.
        remedy: what the reader can do about it.
    """

    exit_code = 1

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(problem, remedy)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem} Remedy: {self.remedy}"


class ConfigError(EdgeError):
    """A configuration that cannot be used."""

    exit_code = 2


class BudgetError(ConfigError):
    """A configuration whose budget cannot hold; names the number that breaks it."""

    exit_code = 3


class ModelError(EdgeError):
    """A model package that is missing, corrupt, foreign or wrong."""

    exit_code = 4


class GoldenMismatch(ModelError):
    """An engine instance that does not reproduce the package's golden outputs, so it must not decide."""


class EngineError(EdgeError):
    """An engine that cannot be built or run."""

    exit_code = 5


class CameraError(EdgeError):
    """A camera that cannot be opened, or that delivers what was not agreed."""

    exit_code = 6


class PlcError(EdgeError):
    """A PLC that is unreachable, refuses, or answers nonsense."""

    exit_code = 7


class WireError(EdgeError):
    """A message that cannot be understood."""

    exit_code = 8


class PortBusy(EdgeError):
    """An address that another process holds."""

    exit_code = 9


class DatasetError(EdgeError):
    """A data set that cannot be trained on or read."""

    exit_code = 10


class ControlError(EdgeError):
    """A control command that could not be delivered, or that was refused."""

    exit_code = 12


class CommissionError(EdgeError):
    """A measurement of the line that cannot be made, or cannot be right."""

    exit_code = 13


class RecordingError(EdgeError):
    """A recording that cannot be made, or that cannot be read."""

    exit_code = 15


class ReplayMismatch(EdgeError):
    """A replay whose verdicts are not those of the recording."""

    exit_code = 22


class JournalError(EdgeError):
    """A journal that is missing, damaged, or cannot be read."""

    exit_code = 14


class EvidenceError(EdgeError):
    """Evidence that is missing, damaged, or cannot be read or written."""

    exit_code = 16


class ChallengeError(EdgeError):
    """A challenge that cannot be made now, or records of challenges that cannot be written, read or trusted."""

    exit_code = 17


class AnnotationError(EdgeError):
    """Marks and acknowledgements that cannot be read or written."""

    exit_code = 18


class InstallError(EdgeError):
    """An installation that cannot be made on this machine, or not be undone."""

    exit_code = 19


class MissingExtra(EdgeError):
    """An optional dependency that is not installed."""

    exit_code = 11

    def __init__(self, module: str, extra: str) -> None:
        super().__init__(
            f"The Python module {module!r} is not installed.", f"install it with: pip install 'edge-inspect[{extra}]'"
        )
        self.args = (module, extra)  # what this class is built from, so that the error can cross processes

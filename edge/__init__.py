"""Inline surface-defect inspection: a camera looks at every part, and every part gets exactly one outcome in time."""

__version__ = "0.1.0"

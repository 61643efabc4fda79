"""Data sets on disk: readers of the usual formats, one check for all of them, block splits, an audit for leakage."""

from edge.dataset.open import FORMATS, open_dataset
from edge.dataset.sample import Dataset, Entry, Sample

__all__ = ["FORMATS", "Dataset", "Entry", "Sample", "open_dataset"]

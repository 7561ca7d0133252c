"""Data sets: the published ones in their own layouts, a folder a class, a CSV manifest, a rendered sample."""

from retrieval.datasets.dataset import (
    ALL,
    QUERY_GALLERY,
    ImageDataset,
    Record,
    Scalar,
    Subset,
    holdout_classes,
    keep_readable,
)
from retrieval.datasets.few_per_class import few_per_class
from retrieval.datasets.known import DATASETS, KnownDataset, default_root, open_dataset

__all__ = [
    "ALL",
    "DATASETS",
    "QUERY_GALLERY",
    "ImageDataset",
    "KnownDataset",
    "Record",
    "Scalar",
    "Subset",
    "default_root",
    "few_per_class",
    "holdout_classes",
    "keep_readable",
    "open_dataset",
]

"""The ways to run a trained network: each takes prepared images and gives embeddings."""

from retrieval.engines.engine import ENGINES, EXPORTED, Engine, make_engine
from retrieval.engines.exported import copy_exports

__all__ = ["ENGINES", "EXPORTED", "Engine", "copy_exports", "make_engine"]

"""The ways to run a trained network: each takes prepared images and gives embeddings."""

from retrieval.engines.engine import ENGINES, Engine, make_engine

__all__ = ["ENGINES", "Engine", "make_engine"]

"""Embeddings of very many images as a folder of shards, which many processes write and `hdhe index build` reads.

    SHARDS/
      manifest.json         whose embeddings of how many images: the model's fingerprint, a digest of the images' ids
                            and labels, and how many images make a shard
      shard-000000.npz      of images 0 to shard_size - 1 in the order of their list, and so on: see `shard_file`

Which images a shard holds depends on the list and the shard size alone, not on who writes it: a run that was killed may
go on with another number of processes. A shard is written beside its place, synced and renamed; what is there is whole.
A crash leaves at most strays `.shard-*.tmp-*`, which go when their shard is written.
"""

from retrieval.shards.shard_file import Shard
from retrieval.shards.shard_folder import EmbeddingShards, Manifest, are_shards

__all__ = ["EmbeddingShards", "Manifest", "Shard", "are_shards"]

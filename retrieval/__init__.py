"""Images in, embeddings and scores out.

For others to use: `retrieval.bundle` (load and save models), `retrieval.embedder`, `retrieval.gallery`,
`retrieval.recall`, `retrieval.networks`, `retrieval.datasets`, `retrieval.images`, `retrieval.transforms` and
`retrieval.errors`. They are not imported here, because the front door imports this package for its commands, and
torch takes seconds to load.
"""

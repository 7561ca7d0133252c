"""What is done to a network's embedding once it is trained."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from training.sections.section import Section


class WhiteningSection(Section):
    """A linear map behind the embedding, fitted to the training images once training is over
    (`retrieval.networks.whitening`); costs one pass over them. size: length of the embedding then; null = as before.
    """

    size: Annotated[int, Field(ge=1)] | None = None

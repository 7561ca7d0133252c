"""The part of a batch that one of many processes trains on."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from retrieval.errors import UserError
from training.collectives import gather_rows


@dataclass(frozen=True)
class BatchPart:
    """Which images of a batch are this process's: the first ones are the first process's, and so on.

    sizes: images of each process. process: this one, counted from 0.
    """

    sizes: tuple[int, ...]
    process: int

    @classmethod
    def of(cls, images: int, process: int, processes: int) -> BatchPart:
        """The part of one process, in a batch that is shared as evenly as it can be."""
        least, more = divmod(images, processes)
        return cls(tuple(least + (number < more) for number in range(processes)), process)

    @property
    def images(self) -> int:
        """Of the whole batch."""
        return sum(self.sizes)

    @property
    def own(self) -> slice:
        """The places of this process's images in the batch."""
        start = sum(self.sizes[: self.process])
        return slice(start, start + self.sizes[self.process])

    @property
    def share(self) -> float:
        """What a mean over the own images is multiplied by, for the mean over processes to be that over the batch."""
        return self.sizes[self.process] * len(self.sizes) / self.images

    def gather(self, rows: Tensor) -> Tensor:
        """Rows [n_own, ...] for the own images to those of the whole batch, with gradients; see `gather_rows`."""
        return gather_rows(rows, self.sizes)


def whole(images: int) -> BatchPart:
    """The only part of a batch of a single process."""
    return BatchPart((images,), 0)


def check_divides(batch: int, processes: int) -> None:
    """Raises UserError where processes cannot have equal parts of a batch, as the recipe has it."""
    if batch % processes == 0:
        return
    below, above = batch - batch % processes, batch - batch % processes + processes
    sizes = f"{below} or {above}" if below else str(above)
    fitting = max(number for number in range(1, processes) if batch % number == 0)
    raise UserError(
        f"batch is {batch}, over all processes, and {processes} of them cannot share it evenly; set batch to {sizes}, "
        f"or start {fitting} process{'es' if fitting > 1 else ''}"
    )

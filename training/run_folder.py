"""The folder of a training run: what lies in it, and when a run may start or go on there.

    RUN/
      recipe.yaml       every value the run uses
      metrics.jsonl     one line an epoch; tensorboard/ and curves.png show the same
      checkpoint/       the state to go on from
      auto_lr.jsonl     only with auto_lr; one line a trial, and auto_lr.png shows the same
      pruning/          only with prune_until: auto; the trials, and what was chosen
      best.safetensors  only with keep: best; the network of the best epoch so far
      bundle/           the model; there only when the run has finished

Each file is written beside its place, synced and renamed, so a crash leaves the old or the new one whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save
from torch import Tensor

from retrieval.durable import replacing
from retrieval.errors import UserError
from training.recipe_file import dump_recipe, first_difference, load_recipe_of
from training.sections.section import RunSection


@dataclass(frozen=True)
class RunFolder:
    """The paths of one run."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The resolved recipe; it marks the folder as a run's."""
        return self.path / "recipe.yaml"

    @property
    def metrics(self) -> Path:
        """One JSON object a line, one line an epoch."""
        return self.path / "metrics.jsonl"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard's event files."""
        return self.path / "tensorboard"

    @property
    def curves(self) -> Path:
        """The plot of loss, accuracy and recall."""
        return self.path / "curves.png"

    @property
    def trials(self) -> Path:
        """AutoLR's log: one JSON object a line, one line a trial."""
        return self.path / "auto_lr.jsonl"

    @property
    def trials_plot(self) -> Path:
        """The plot of AutoLR's log."""
        return self.path / "auto_lr.png"

    @property
    def pruning(self) -> Path:
        """What was tried to choose a pruning depth: a run folder a depth, and the choice."""
        return self.path / "pruning"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoint"

    @property
    def best(self) -> Path:
        """The network of the best epoch so far."""
        return self.path / "best.safetensors"

    @property
    def bundle(self) -> Path:
        """The finished model."""
        return self.path / "bundle"

    @property
    def finished(self) -> bool:
        """Whether the run has ended; the bundle is written last and at once."""
        return (self.bundle / "model.json").is_file()

    def open(self, recipe: RunSection, *, resume: bool) -> None:
        """Claim the folder for a new run, or check that the run in it may go on with this recipe.

        Raises UserError: the folder is taken, holds nothing to resume, or belongs to another recipe.
        """
        if resume:
            self._check_same(recipe)
            return
        if self.recipe.exists():
            raise UserError(
                f"{self.path} already holds a run; add --resume to go on with it, or give another --out"
            )
        if (self.path.is_dir() and any(self.path.iterdir())) or self.path.is_file():
            raise UserError(f"{self.path} is in use by something else; give another --out")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"{self.path} cannot be made: {error.strerror}; give another --out") from error
        write_whole(self.recipe, dump_recipe(recipe))

    def _check_same(self, recipe: RunSection) -> None:
        if not self.recipe.exists():
            raise UserError(f"there is no run in {self.path} to resume; leave out --resume to start one")
        difference = first_difference(load_recipe_of(type(recipe), self.recipe), recipe)
        if difference is not None:
            raise UserError(f"{self.path} was started with another recipe: {difference}; give another --out")


def write_whole(path: Path, text: str) -> None:
    """Replace a text file at once: whoever reads it, even after a power cut, sees the old or the new content."""
    with replacing(path) as file:
        file.write(text.encode())


def write_weights(path: Path, weights: dict[str, Tensor]) -> None:
    """Replace a safetensors file at once."""
    with replacing(path) as file:
        file.write(save({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}))

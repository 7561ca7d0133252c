"""Checkpoints: whole or not there, and back to the same state."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn

from retrieval.errors import UserError
from training.checkpoint import Progress, checkpoints, load_checkpoint, save_checkpoint

Made = tuple[Accelerator, nn.Module, torch.optim.Optimizer]


@pytest.fixture
def make() -> Iterator[Callable[[int], Made]]:
    def build(seed: int) -> Made:
        AcceleratorState._reset_state()
        torch.manual_seed(seed)
        accelerator = Accelerator(cpu=True)
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        model, optimiser = accelerator.prepare(model, optimiser)
        return accelerator, model, optimiser

    yield build
    AcceleratorState._reset_state()


def step(model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    model(torch.arange(12.0).reshape(4, 3) * torch.rand(1)).square().mean().backward()
    optimiser.step()
    optimiser.zero_grad()


def test_weights_buffers_momentum_and_generators_come_back(
    tmp_path: Path, make: Callable[[int], Made]
) -> None:
    accelerator, model, optimiser = make(0)
    step(model, optimiser)
    progress = Progress(data="d", epoch=3, step=7, loss=1 / 3, images=5, correct=[1, 2], seconds=0.1)
    save_checkpoint(tmp_path, accelerator, progress)
    step(model, optimiser)
    expected = {name: value.clone() for name, value in model.state_dict().items()}

    accelerator, model, optimiser = make(1)
    assert load_checkpoint(tmp_path, accelerator, pytest.fail) == progress
    step(model, optimiser)
    for name, value in model.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_the_newest_two_are_kept_and_an_unfinished_one_is_ignored(
    tmp_path: Path, make: Callable[[int], Made]
) -> None:
    accelerator, _, _ = make(0)
    assert load_checkpoint(tmp_path, accelerator, pytest.fail) is None
    for epoch in (8, 9, 10, 11):
        save_checkpoint(tmp_path, accelerator, Progress(data="d", epoch=epoch))
    assert [path.name for path in checkpoints(tmp_path)] == [
        "epoch00011-step0000000",
        "epoch00010-step0000000",
    ]
    shutil.copytree(checkpoints(tmp_path)[0], tmp_path / ".unfinished")
    (tmp_path / ".unfinished" / "model.safetensors").write_bytes(b"half")
    loaded = load_checkpoint(tmp_path, accelerator, pytest.fail)
    assert loaded is not None
    assert loaded.epoch == 11
    save_checkpoint(tmp_path, accelerator, Progress(data="d", epoch=12))
    assert not (tmp_path / ".unfinished").exists()


@pytest.mark.parametrize("victim", ["model.safetensors", "optimizer.bin", "progress.json"])
@pytest.mark.parametrize("damage", ["cut", "gone", "empty"])
def test_a_damaged_checkpoint_is_reported_and_the_one_before_taken(
    tmp_path: Path, make: Callable[[int], Made], victim: str, damage: str
) -> None:
    accelerator, model, optimiser = make(0)
    save_checkpoint(tmp_path, accelerator, Progress(data="d", epoch=1))
    expected = {name: value.clone() for name, value in model.state_dict().items()}
    step(model, optimiser)
    save_checkpoint(tmp_path, accelerator, Progress(data="d", epoch=2))
    file = checkpoints(tmp_path)[0] / victim
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: 40 if damage == "cut" else 0])
    lines: list[str] = []
    loaded = load_checkpoint(tmp_path, accelerator, lines.append)
    assert loaded is not None
    assert loaded.epoch == 1
    assert len(lines) == 1
    assert "epoch00002" in lines[0]
    for name, value in model.state_dict().items():
        assert torch.equal(value, expected[name]), name

    for checkpoint in checkpoints(tmp_path):
        (checkpoint / victim).unlink(missing_ok=True)
    with pytest.raises(UserError, match="none of the checkpoints"):
        load_checkpoint(tmp_path, accelerator, lines.append)


def test_a_full_disk_leaves_what_was_there(
    tmp_path: Path, make: Callable[[int], Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    accelerator, _, _ = make(0)
    save_checkpoint(tmp_path, accelerator, Progress(data="d", epoch=1))

    def full(folder: str) -> None:
        (Path(folder) / "model.safetensors").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(accelerator, "save_state", full)
    with pytest.raises(UserError, match=r"No space left on device.*--resume"):
        save_checkpoint(tmp_path, accelerator, Progress(data="d", epoch=2))
    assert [path.name for path in checkpoints(tmp_path)] == ["epoch00001-step0000000"]
    monkeypatch.undo()
    loaded = load_checkpoint(tmp_path, accelerator, pytest.fail)
    assert loaded is not None
    assert loaded.epoch == 1

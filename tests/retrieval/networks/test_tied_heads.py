"""Heads that share one copy of their blocks, against the same heads with copies of equal weights."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from retrieval.bundle import load_bundle, save_bundle
from retrieval.networks.cost import cost
from retrieval.networks.ensemble import Ensemble, build_ensemble
from retrieval.networks.spec import EnsembleSpec, HeadSpec
from retrieval.transforms import Preprocessing

PLAIN = (
    HeadSpec(reduction="linear", size=24),
    HeadSpec(reduction="linear", size=40, pool="max"),
    HeadSpec(pool="gem", norm="layer"),
)
MASKED = tuple(replace(head, attention=True) for head in PLAIN)
MIXED = (PLAIN[0], MASKED[1], PLAIN[2])
CASES = pytest.mark.parametrize("heads", [PLAIN, MASKED, MIXED], ids=["plain", "masked", "mixed"])


def build(heads: tuple[HeadSpec, ...], *, tied: bool = True) -> Ensemble:
    torch.manual_seed(0)
    spec = EnsembleSpec("mobilenet_v3_small", "B2", heads, tied=tied)
    return build_ensemble(spec, weights=None).eval()


def images(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def untied(tied: Ensemble) -> Ensemble:
    """The same function with a copy of the blocks in every head."""
    network = build(tied.spec.heads, tied=False)
    state = tied.state_dict()
    for name in network.state_dict():
        if name not in state:
            _, _, within = name.split(".", 2)
            state[name] = state[f"heads.0.{within}"]
    network.load_state_dict(state)
    return network


@CASES
def test_features_are_those_of_equal_copies(heads: tuple[HeadSpec, ...]) -> None:
    tied = build(heads)
    with torch.no_grad():
        for one, other in zip(tied(images()), untied(tied)(images()), strict=True):
            torch.testing.assert_close(one, other)
        assert tied.embed(images()).shape == (2, tied.embedding_size)


@CASES
def test_the_blocks_learn_from_every_head(heads: tuple[HeadSpec, ...]) -> None:
    tied = build(heads)
    copies = untied(tied)
    for network in (tied, copies):
        torch.autograd.backward(torch.stack([feature.sum() for feature in network(images())]).sum())
    kernel = "groups.B4.0.block.0.0.weight"
    gradients = [copies.get_parameter(f"heads.{head}.{kernel}").grad for head in range(3)]
    together = torch.stack([gradient for gradient in gradients if gradient is not None]).sum(0)
    torch.testing.assert_close(tied.get_parameter(f"heads.0.{kernel}").grad, together, rtol=1e-3, atol=1e-6)


@CASES
def test_every_parameter_is_stored_and_counted_once(heads: tuple[HeadSpec, ...]) -> None:
    tied = build(heads)
    assert not any(name.startswith(("heads.1.groups", "heads.2.groups")) for name in tied.state_dict())
    covered = [id(p) for block in tied.parameter_blocks() for _, p in block.parameters]
    assert sorted(covered) == sorted(id(p) for p in tied.parameters())
    torch.autograd.backward(torch.cat(tied.train()(images()), dim=1).sum())
    assert [name for name, p in tied.named_parameters() if p.grad is None] == []


def test_what_a_tied_head_has_for_itself_counts_to_its_first_and_last_block() -> None:
    tied = build(MASKED)
    own = [(block.head, block.name) for block in tied.parameter_blocks() if block.head]
    first, last = "res3_1", "res4_3"
    assert own == [(head, f"heads.{head}.{name}") for head in (1, 2) for name in (first, last)]


def test_new_parameters_are_all_but_the_backbones() -> None:
    tied = build(MIXED)
    new = {id(p) for p in tied.new_parameters()}
    names = {name for name, p in tied.named_parameters() if id(p) in new}
    assert {name.rsplit(".", 1)[0] for name in names} == {
        "heads.0.reduction.0",
        "heads.0.reduction.1",
        "heads.1.attention.layers.0",
        "heads.1.attention.layers.1",
        "heads.1.attention.layers.3",
        "heads.1.reduction.0",
        "heads.1.reduction.1",
        "heads.2.pool",
    }


def test_batch_statistics_are_those_of_all_heads_together() -> None:
    tied = build(MASKED)
    seen: list[Tensor] = []
    norm = next(m for m in tied.heads[0].groups.modules() if isinstance(m, nn.BatchNorm2d))  # type: ignore[union-attr]  # a ModuleList forgets the type of its heads
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    norm.momentum = 1.0
    with torch.no_grad():
        tied.train()(images(4))
    assert [len(batch) for batch in seen] == [3 * 4]
    torch.testing.assert_close(norm.running_mean, seen[0].mean((0, 2, 3)), rtol=1e-4, atol=1e-5)


def test_one_linear_layer_puts_all_heads_into_one_space() -> None:
    heads = (HeadSpec(reduction="linear", size=24, attention=True),) * 3
    torch.manual_seed(0)
    spec = EnsembleSpec("mobilenet_v3_small", "B2", heads, tied=True, tied_linear=True)
    network = build_ensemble(spec, weights=None).eval()
    assert not any(
        name.startswith(("heads.1.reduction", "heads.2.reduction")) for name in network.state_dict()
    )
    copies = untied(network)
    with torch.no_grad():
        for one, other in zip(network(images()), copies(images()), strict=True):
            torch.testing.assert_close(one, other)
    # Once their masks are equal too, so are the features.
    state = network.state_dict()
    for name in state:
        if name.startswith("heads.1.attention"):
            state[name] = state[name.replace("heads.1", "heads.2")]
    network.load_state_dict(state)
    with torch.no_grad():
        _, second, third = network(images())
    torch.testing.assert_close(second, third)
    torch.autograd.backward(torch.cat(network.train()(images()), dim=1).sum())
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_shared_work_is_done_once() -> None:
    head = HeadSpec(reduction="linear", size=64)
    costs = {
        (count, attention, tied): cost(
            EnsembleSpec("resnet18", "B3", (replace(head, attention=attention),) * count, tied=tied)
        )
        for count in (1, 3)
        for attention in (False, True)
        for tied in (False, True)
    }
    for attention in (False, True):
        assert costs[1, attention, True] == costs[1, attention, False]
    # Without attention, a further tied head adds no more than its linear layer.
    added = costs[3, False, True].gmacs - costs[1, False, True].gmacs
    assert added == pytest.approx(2 * 512 * 64 / 1e9)
    # With attention each head sees a map of its own, and only parameters are saved.
    assert costs[3, True, True].gmacs == pytest.approx(costs[3, True, False].gmacs)
    blocks = sum(p.numel() for p in build_meta_blocks())
    for attention in (False, True):
        assert costs[3, attention, False].parameters - costs[3, attention, True].parameters == 2 * blocks


def build_meta_blocks() -> list[nn.Parameter]:
    with torch.device("meta"):
        network = build_ensemble(EnsembleSpec("resnet18", "B3", (HeadSpec(),)), weights=None)
    return [p for name, p in network.named_parameters() if name.startswith("heads.0.groups")]


@CASES
def test_a_bundle_gives_the_same_embeddings(heads: tuple[HeadSpec, ...], tmp_path: Path) -> None:
    tied = build(heads)
    fingerprint = save_bundle(
        tmp_path / "bundle", tied, Preprocessing(pixels=64), recipe={}, scores=[], pretraining="none"
    )
    loaded = load_bundle(tmp_path / "bundle")
    assert loaded.fingerprint == fingerprint
    assert loaded.network.spec == tied.spec
    with torch.no_grad():
        torch.testing.assert_close(loaded.network.embed(images()), tied.embed(images()), rtol=0, atol=0)

"""The engines that are torch itself: close to the network run in float64, and how often each block runs."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from retrieval.bundle import Bundle
from retrieval.engines import make_engine
from retrieval.engines.torch_engine import TorchEngine, can_bfloat16
from retrieval.errors import UserError
from retrieval.networks.listening import listening
from tests.retrieval.engines.models import IMAGES, write_model

needs_bfloat16 = pytest.mark.skipif(not can_bfloat16(), reason="this processor has no bfloat16 instructions")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return write_model(tmp_path_factory.mktemp("model") / "bundle")


@needs_bfloat16
def test_bfloat16_is_close_and_leaves_the_bundle_alone(bundle: Bundle) -> None:
    before = {name: tensor.clone() for name, tensor in bundle.network.state_dict().items()}
    expected = TorchEngine(bundle, device="cpu").embed(IMAGES)
    found = make_engine("torch-bf16", bundle).embed(IMAGES)
    cosines = (found * expected).sum(axis=1)
    assert cosines.min() > 0.999
    # It would be a mistake to compare float32 with itself here.
    assert np.abs(found - expected).max() > 1e-5
    for name, tensor in bundle.network.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_processor_without_bfloat16_says_so(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.engines.torch_engine.can_bfloat16", lambda: False)
    with pytest.raises(UserError, match=r"no bfloat16 instructions.*use --engine torch"):
        make_engine("torch-bf16", bundle)


def test_compiling_needs_a_compiler(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match=r"needs a C\+\+ compiler"):
        make_engine("torch-compile", bundle)


@pytest.mark.slow
@needs_bfloat16
@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_a_compiled_network_is_close(bundle: Bundle) -> None:
    expected = TorchEngine(bundle, device="cpu").embed(IMAGES)
    compiled = make_engine("torch-compile", bundle)
    for count in (5, 1, 3):
        assert (compiled.embed(IMAGES[:count]) * expected[:count]).sum(axis=1).min() > 0.999


def test_the_trunk_and_each_convolution_run_once_for_both_views(tmp_path: Path) -> None:
    bundle = write_model(tmp_path / "bundle")
    calls: Counter[str] = Counter()
    batches: set[int] = set()
    with listening() as listener:
        for name, module in bundle.network.named_modules():
            if name == "trunk" or isinstance(module, nn.Conv2d):

                def ran(output: torch.Tensor, name: str = name) -> None:
                    calls[name] += 1
                    batches.add(len(output))

                listener.behind(module, ran)
        make_engine("torch", bundle).embed(IMAGES)
    # The trunk and its five convolutions, one of the first head and three of the second.
    assert len(calls) == 10
    assert set(calls.values()) == {1}
    assert batches == {2 * len(IMAGES)}

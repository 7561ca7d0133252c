from __future__ import annotations

import threading

import pytest
import torch

from retrieval.errors import NetworkError
from retrieval.networks import Ensemble, EnsembleSpec, HeadSpec, build_ensemble
from retrieval.networks.recording import check_blocks, recorded


@pytest.fixture
def network() -> Ensemble:
    torch.manual_seed(0)
    heads = (HeadSpec("res4_last", 1, "penultimate+"), HeadSpec("res4_1"))
    return build_ensemble(EnsembleSpec("resnet18", "B3", heads), weights=None).eval()


@torch.inference_mode()
def test_records_what_the_forward_pass_computes(network: Ensemble) -> None:
    images = torch.randn(2, 3, 32, 32)
    with recorded(network, (1, 6, 7, 8)) as record:
        features = network(images)
    maps = network.feature_maps(images)
    for head in (0, 1):
        torch.testing.assert_close(record.pooled[head], maps[head])
        torch.testing.assert_close(record.features[head], features[head])
    assert [len(record.blocks[block]) for block in (1, 6, 7, 8)] == [1, 1, 2, 1]
    torch.testing.assert_close(record.blocks[6][0], network.trunk(images))
    torch.testing.assert_close(record.blocks[8][0], maps[0])
    torch.testing.assert_close(record.blocks[7][1], maps[1])


@torch.no_grad()
def test_another_threads_forward_pass_is_not_seen(network: Ensemble) -> None:
    mine, other = torch.randn(2, 2, 3, 32, 32)
    with recorded(network, (1,)) as record:
        thread = threading.Thread(target=network, args=(other,))
        thread.start()
        thread.join()
        assert not record.pooled
        network(mine)
    assert len(record.blocks[1]) == 1
    torch.testing.assert_close(record.pooled[0], network.feature_maps(mine)[0])


def test_recording_ends_even_after_an_error(network: Ensemble) -> None:
    with pytest.raises(ZeroDivisionError), recorded(network, (1, 7)):
        raise ZeroDivisionError
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())


@pytest.mark.parametrize(("head", "last"), [(None, 8), (0, 8), (1, 7)])
def test_blocks_are_counted_for_each_head(network: Ensemble, head: int | None, last: int) -> None:
    check_blocks(network, (1, last), head)
    with pytest.raises(NetworkError, match=f"has blocks 1 to {last}"):
        check_blocks(network, (1, last + 1), head)

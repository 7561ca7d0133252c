from dataclasses import replace
from typing import Any

import pytest

from retrieval.errors import NetworkError
from retrieval.networks.spec import EnsembleSpec, HeadSpec
from retrieval.networks.spec_check import check_spec

GOOD = EnsembleSpec("resnet50", "B2", (HeadSpec(), HeadSpec("res3_2")))


def test_a_good_spec_passes() -> None:
    check_spec(GOOD)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone": "vgg16"}, "backbone must be one of .*; got 'vgg16'"),
        ({"backbone": ""}, "backbone must be one of"),
        ({"share_until": "B5"}, "share_until must be one of B1, B2, B3; got 'B5'"),
        ({"share_until": "B4"}, "share_until must be one of"),
        (
            {"share_until": "B3"},
            r"heads\[1\].last_block 'res3_2' lies in the trunk, which is shared until B3",
        ),
        ({"heads": ()}, "at least one head"),
    ],
)
def test_an_ensemble_that_cannot_be_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        check_spec(replace(GOOD, **change))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"last_block": "res4_4"}, r"heads\[0\].last_block 'res4_4' does not exist"),
        ({"last_block": "res5_1"}, r"heads\[0\].last_block must look like"),
        ({"last_block": "res2_4"}, r"heads\[0\].last_block 'res2_4' lies in the trunk"),
        ({"last_block": "res1_1"}, r"heads\[0\].last_block 'res1_1' lies in the trunk"),
        ({"stride": 0}, r"heads\[0\].stride must be one of 1, 2; got 0"),
        ({"stride": 3}, r"heads\[0\].stride must be one of 1, 2; got 3"),
        (
            {"reduction": "pca"},
            r"heads\[0\].reduction must be one of none, linear, penultimate, penultimate\+",
        ),
        ({"pool": "median"}, r"heads\[0\].pool must be one of avg, max, gem, avg\+max; got 'median'"),
        ({"lr": 0.0}, r"heads\[0\].lr must be a positive number; got 0.0"),
        ({"lr": -1.0}, r"heads\[0\].lr must be"),
        ({"lr": float("nan")}, r"heads\[0\].lr must be"),
        ({"lr": float("inf")}, r"heads\[0\].lr must be"),
        ({"norm": "batch"}, r"heads\[0\].norm must be one of none, layer; got 'batch'"),
        ({"size": 64}, r"heads\[0\].size 64 needs reduction linear; with none the backbone decides"),
        ({"size": 512, "reduction": "penultimate"}, r"heads\[0\].size 512 needs reduction linear"),
        ({"size": 0, "reduction": "linear"}, r"heads\[0\].size must be at least 1; got 0"),
    ],
)
def test_a_head_that_cannot_be_is_refused_in_one_line(change: dict[str, Any], message: str) -> None:
    spec = replace(GOOD, heads=(replace(HeadSpec(), **change),))
    with pytest.raises(NetworkError, match=message) as raised:
        check_spec(spec)
    assert "\n" not in str(raised.value)


def test_tied_heads_may_differ_behind_their_blocks() -> None:
    heads = (
        HeadSpec("res4_3", reduction="linear", size=96, attention=True),
        HeadSpec("res4_last", pool="gem", norm="layer", lr=4.0),
    )
    check_spec(EnsembleSpec("resnet50", heads=heads, tied=True))
    cut = (HeadSpec(reduction="penultimate"), HeadSpec(reduction="penultimate+"))
    check_spec(EnsembleSpec("resnet50", heads=cut, tied=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"last_block": "res4_1"}, r"heads\[1\].last_block 'res4_1' differs from 'res4_last' of heads\[0\]"),
        ({"stride": 1}, r"heads\[1\].stride 1 differs from 2 of heads\[0\]"),
        ({"reduction": "penultimate"}, r"heads\[1\].reduction 'penultimate' differs from 'none'"),
    ],
)
def test_tied_heads_must_have_the_same_blocks(change: dict[str, Any], message: str) -> None:
    heads = (HeadSpec(), replace(HeadSpec(), **change))
    check_spec(EnsembleSpec("resnet50", heads=heads))
    with pytest.raises(NetworkError, match=message) as raised:
        check_spec(EnsembleSpec("resnet50", heads=heads, tied=True))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("heads", "tied", "message"),
    [
        ((HeadSpec(reduction="linear"),) * 2, False, "tied_linear needs tied"),
        ((HeadSpec(),) * 2, True, r"heads\[0\] has none of size None"),
        (
            (HeadSpec(reduction="linear", size=8), HeadSpec(reduction="linear", size=9)),
            True,
            r"heads\[1\] has linear of size 9, heads\[0\] has size 8",
        ),
    ],
)
def test_one_linear_layer_needs_one_size(heads: tuple[HeadSpec, ...], tied: bool, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        check_spec(EnsembleSpec("resnet50", heads=heads, tied=tied, tied_linear=True))

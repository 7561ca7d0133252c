import json
from dataclasses import replace
from typing import Any, cast, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import NetworkError
from retrieval.networks.presets import PRESETS, preset_spec
from retrieval.networks.spec import EnsembleSpec, HeadSpec, Norm, Pool, Reduction, SharedGroup
from retrieval.networks.spec_dict import spec_from_dict, spec_to_dict

reductions = st.one_of(
    st.fixed_dictionaries({"reduction": st.sampled_from(get_args(Reduction))}),
    st.fixed_dictionaries({"reduction": st.just("linear"), "size": st.integers(1, 4096)}),
)
heads = st.builds(
    lambda reduction, **others: HeadSpec(**reduction, **others),
    reduction=reductions,
    last_block=st.sampled_from(["res4_1", "res4_last"]),
    stride=st.sampled_from([1, 2]),
    pool=st.sampled_from(get_args(Pool)),
    lr=st.floats(min_value=1e-6, max_value=100),
    norm=st.sampled_from(get_args(Norm)),
    attention=st.booleans(),
)
specs = st.builds(
    EnsembleSpec,
    backbone=st.just("resnet18"),
    share_until=st.sampled_from(get_args(SharedGroup)),
    heads=st.lists(heads, min_size=1, max_size=4).map(tuple),
    mirror=st.booleans(),
)


@st.composite
def tied_specs(draw: st.DrawFn) -> EnsembleSpec:
    """Any number of heads on the blocks of one."""
    first = draw(heads)
    pools = draw(st.lists(st.sampled_from(get_args(Pool)), max_size=3))
    others = [replace(first, pool=pool, attention=not first.attention) for pool in pools]
    return EnsembleSpec("resnet18", heads=(first, *others), tied=True)


@given(specs | tied_specs())
def test_a_spec_survives_a_trip_through_json(spec: EnsembleSpec) -> None:
    assert spec_from_dict(json.loads(json.dumps(spec_to_dict(spec)))) == spec


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_survive_it_too(preset: str) -> None:
    spec = preset_spec(preset, "efficientnet_lite0")
    assert spec_from_dict(json.loads(json.dumps(spec_to_dict(spec)))) == spec


def test_left_out_fields_take_their_defaults() -> None:
    assert spec_from_dict({"backbone": "resnet18"}) == EnsembleSpec("resnet18")
    assert spec_from_dict({"backbone": "resnet18", "heads": [{"lr": 2}]}).heads == (HeadSpec(lr=2.0),)


def test_the_first_bundles_read_as_before_and_keep_their_fingerprint() -> None:
    written = {
        "backbone": "resnet50",
        "share_until": "B2",
        "heads": [{"last_block": "res4_1", "stride": 1, "reduction": "linear", "pool": "gem", "lr": 4.0}],
        "mirror": False,
    }
    spec = spec_from_dict(written)
    assert spec.heads[0] == HeadSpec("res4_1", 1, "linear", "gem", 4.0)
    assert spec_to_dict(spec) == written


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone": None}, "network.backbone must be str; got None"),
        ({"bakbone": "x"}, "network.bakbone is unknown; the fields are backbone, share_until"),
        ({"mirror": 1}, "network.mirror must be bool; got 1"),
        ({"mirror": "yes"}, "network.mirror must be bool"),
        ({"share_until": "B9"}, "share_until must be one of"),
        ({"heads": {}}, "network.heads must be list"),
        ({"heads": []}, "at least one head"),
        ({"heads": ["res4_1"]}, r"network.heads\[0\] must be an object; got str"),
        ({"heads": [{}, {"stride": True}]}, r"network.heads\[1\].stride must be int; got True"),
        ({"heads": [{"stride": 1.0}]}, r"network.heads\[0\].stride must be int"),
        ({"heads": [{"lr": "4x"}]}, r"network.heads\[0\].lr must be float"),
        ({"heads": [{"lr": True}]}, r"network.heads\[0\].lr must be float"),
        ({"heads": [{"norm": None}]}, r"network.heads\[0\].norm must be str; got None"),
        ({"heads": [{"size": "64"}]}, r"network.heads\[0\].size must be int; got '64'"),
        ({"heads": [{"size": True}]}, r"network.heads\[0\].size must be int; got True"),
        ({"heads": [{"attention": 1}]}, r"network.heads\[0\].attention must be bool; got 1"),
        ({"tied": "yes"}, "network.tied must be bool; got 'yes'"),
        ({"heads": [{"depth": 3}]}, r"network.heads\[0\].depth is unknown"),
        ({"heads": [{"last_block": "res4_99"}]}, r"heads\[0\].last_block 'res4_99' does not exist"),
    ],
)
def test_what_is_wrong_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        spec_from_dict({"backbone": "resnet18"} | change)


@pytest.mark.parametrize("data", [None, [], "resnet50", 3])
def test_other_than_an_object_is_refused(data: object) -> None:
    with pytest.raises(NetworkError, match="network must be an object"):
        spec_from_dict(data)


def test_the_backbone_may_not_be_left_out() -> None:
    with pytest.raises(NetworkError, match=r"network\.backbone is missing"):
        spec_from_dict({})


def test_the_dict_is_a_copy() -> None:
    spec = EnsembleSpec("resnet18")
    cast(list[dict[str, Any]], spec_to_dict(spec)["heads"])[0]["stride"] = 7
    assert spec.heads[0].stride == 2

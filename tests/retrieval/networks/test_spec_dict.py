import json
from typing import Any, cast, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.errors import NetworkError
from retrieval.networks.presets import PRESETS, preset_spec
from retrieval.networks.spec import EnsembleSpec, HeadSpec, Pool, Reduction, SharedGroup
from retrieval.networks.spec_dict import spec_from_dict, spec_to_dict

heads = st.builds(
    HeadSpec,
    last_block=st.sampled_from(["res4_1", "res4_last"]),
    stride=st.sampled_from([1, 2]),
    reduction=st.sampled_from(get_args(Reduction)),
    pool=st.sampled_from(get_args(Pool)),
    lr=st.floats(min_value=1e-6, max_value=100),
)
specs = st.builds(
    EnsembleSpec,
    backbone=st.just("resnet18"),
    share_until=st.sampled_from(get_args(SharedGroup)),
    heads=st.lists(heads, min_size=1, max_size=4).map(tuple),
    mirror=st.booleans(),
)


@given(specs)
def test_a_spec_survives_a_trip_through_json(spec: EnsembleSpec) -> None:
    assert spec_from_dict(json.loads(json.dumps(spec_to_dict(spec)))) == spec


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_survive_it_too(preset: str) -> None:
    spec = preset_spec(preset, "efficientnet_lite0")
    assert spec_from_dict(json.loads(json.dumps(spec_to_dict(spec)))) == spec


def test_left_out_fields_take_their_defaults() -> None:
    assert spec_from_dict({"backbone": "resnet18"}) == EnsembleSpec("resnet18")
    assert spec_from_dict({"backbone": "resnet18", "heads": [{"lr": 2}]}).heads == (HeadSpec(lr=2.0),)


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

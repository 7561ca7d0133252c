import threading
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from retrieval.errors import NetworkError
from retrieval.networks.classifiers import ClassificationNetwork, build_classifier
from retrieval.networks.ensemble import Ensemble, build_ensemble
from retrieval.networks.presets import preset_spec
from retrieval.networks.spec import EnsembleSpec, HeadSpec
from retrieval.networks.taps import Position, find_taps, tap_names, tapped

POSITIONS: tuple[Position, ...] = get_args(Position)


@pytest.fixture(scope="module")
def classifier() -> ClassificationNetwork:
    torch.manual_seed(0)
    return build_classifier("wrn-16-1", 4).eval()


def ensemble(backbone: str = "resnet18", preset: str = "hdhe") -> Ensemble:
    torch.manual_seed(0)
    return build_ensemble(preset_spec(preset, backbone), weights=None).eval()


def images(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_names_of_a_classifier(classifier: ClassificationNetwork) -> None:
    blocks = ("res1_1", "res1_2", "res2_1", "res2_2", "res3_1", "res3_2")
    assert tap_names(classifier) == ("B1", "B2", "B3", *blocks)


def test_names_of_an_ensemble_end_where_its_heads_end() -> None:
    groups = ("trunk.B1", "trunk.B2", "head1.B3", "head1.B4", "head2.B3", "head2.B4")
    blocks = ("trunk.res1_1", "trunk.res1_2", "trunk.res2_1", "trunk.res2_2")
    first = ("head1.res3_1", "head1.res3_2", "head1.res4_1", "head1.res4_2")
    second = ("head2.res3_1", "head2.res3_2", "head2.res4_1")
    assert tap_names(ensemble()) == (*groups, *blocks, *first, *second)


def test_by_default_every_group_is_taken_and_in_the_middle_one(classifier: ClassificationNetwork) -> None:
    for network, groups in (
        (classifier, ["B1", "B2", "B3"]),
        (build_classifier("mobilenet_v3_small", 2), ["B1", "B2", "B3", "B4"]),
        (ensemble(), ["trunk.B1", "trunk.B2", "head1.B3", "head1.B4"]),
    ):
        assert [tap.name for tap in find_taps(network, "end")] == groups
        assert [tap.name for tap in find_taps(network, "pre_relu")] == groups
        assert [tap.name for tap in find_taps(network, "mid")] == groups[1:2]


@torch.no_grad()
def test_ends_are_what_the_groups_and_blocks_give(classifier: ClassificationNetwork) -> None:
    taps = find_taps(classifier, "end", ["B1", "res2_1", "B3"])
    assert [tap.channels for tap in taps] == [16, 32, 64]
    assert [tap.norm for tap in taps] == [None, None, None]
    with tapped(classifier, taps) as maps:
        classifier(images())
    first = classifier.groups["B1"](classifier.stem(images()))
    torch.testing.assert_close(maps[0], first)
    torch.testing.assert_close(maps[1], classifier.get_submodule("groups.B2.0")(first))
    torch.testing.assert_close(classifier.tail(maps[2]), classifier.feature_map(images()))


@torch.no_grad()
def test_every_name_at_every_position_has_its_channels() -> None:
    heads = (
        HeadSpec("res3_2", 1, "penultimate"),
        HeadSpec("res4_last"),
        HeadSpec("res4_1", reduction="penultimate+"),
    )
    for backbone in ("resnet18", "mobilenet_v1", "mobilenet_v2", "mobilenet_v3_small", "efficientnet_lite0"):
        network = build_ensemble(EnsembleSpec(backbone, "B1", heads), weights=None).eval()
        for position in POSITIONS:
            taps = [find_taps(network, position, [name])[0] for name in tap_names(network)]
            with tapped(network, taps) as maps:
                network(images())
            assert [mapped.shape[:2] for mapped in maps] == [(2, tap.channels) for tap in taps]


@torch.no_grad()
@pytest.mark.parametrize("backbone", ["resnet18", "mobilenet_v1", "efficientnet_lite0", "mobilenet_v3_small"])
def test_cut_blocks_are_taken_before_their_last_activation(backbone: str) -> None:
    network = ensemble(backbone)
    before, after = find_taps(network, "pre_relu", ["head2.B4"]), find_taps(network, "end", ["head2.B4"])
    with tapped(network, [*before, *after]) as maps:
        network(images())
    behind: Tensor = {
        "resnet18": lambda x: x.relu(),
        "mobilenet_v1": lambda x: x.relu(),
        "efficientnet_lite0": lambda x: x.clamp(0, 6),
        # Hardswish and the squeeze-excitation behind it.
        "mobilenet_v3_small": lambda x: network.get_submodule("heads.1.groups.B4.0.2")(
            nn.functional.hardswish(x)
        ),
    }[backbone](maps[0])
    torch.testing.assert_close(behind, maps[1])
    torch.testing.assert_close(maps[1], network.feature_maps(images())[1])


@torch.no_grad()
def test_behind_the_trunk_the_first_heads_expansion_counts_and_behind_all_the_tail() -> None:
    network = build_ensemble(
        EnsembleSpec("mobilenet_v2", "B2", (HeadSpec(), HeadSpec("res4_1"))), weights=None
    ).eval()
    with tapped(network, find_taps(network, "pre_relu", ["trunk.B2", "head1.B4", "head2.B4"])) as maps:
        features = network.feature_maps(images())
    conv, norm = (network.get_submodule(f"heads.0.groups.B3.0.conv.0.{part}") for part in (0, 1))
    torch.testing.assert_close(maps[0], norm(conv(network.trunk(images()))))
    torch.testing.assert_close(maps[1].clamp(0, 6), features[0])
    # The second head ends linearly.
    torch.testing.assert_close(maps[2], features[1])


@torch.no_grad()
def test_tied_heads() -> None:
    plain, masked = ensemble(preset="a-bier"), ensemble("mobilenet_v2", "abe-8")
    assert tap_names(plain)[:4] == ("trunk.B1", "trunk.B2", "trunk.B3", "head1.B4")
    assert not any(name.startswith("head2") for name in tap_names(plain))
    with tapped(plain, find_taps(plain, "end", ["head1.B4"])) as maps:
        plain(images())
    torch.testing.assert_close(maps[0], plain.feature_maps(images())[2])
    # Masks make the shared blocks see eight maps: there are none to name, and nothing sees the trunk's own.
    assert tap_names(masked)[:2] == ("trunk.B1", "trunk.B2")
    assert all(name.startswith("trunk.") for name in tap_names(masked))
    with tapped(masked, find_taps(masked, "pre_relu", ["trunk.B2"])) as maps:
        masked(images())
    torch.testing.assert_close(maps[0], masked.trunk(images()))


@torch.no_grad()
def test_maps_come_in_the_order_asked_for_and_as_often(classifier: ClassificationNetwork) -> None:
    first, second, third = find_taps(classifier, "end")
    (early,) = find_taps(classifier, "pre_relu", ["B1"])
    with tapped(classifier, [third, early, first, second, first]) as maps:
        classifier(images())
    assert [mapped.shape[1] for mapped in maps] == [64, 16, 16, 32, 16]
    assert torch.equal(maps[2], maps[4])
    assert not torch.equal(maps[1], maps[2])


@torch.no_grad()
def test_each_pass_starts_anew_whatever_part_of_the_network_is_called(
    classifier: ClassificationNetwork,
) -> None:
    with tapped(classifier, find_taps(classifier, "end")) as maps:
        classifier.forward_features(images(3))
        assert [len(mapped) for mapped in maps] == [3, 3, 3]
        classifier(images(1))
        assert [len(mapped) for mapped in maps] == [1, 1, 1]
        classifier.stem(images(1))
        assert maps == []
        thread = threading.Thread(target=classifier, args=(images(),))
        thread.start()
        thread.join()
        assert maps == []
    with tapped(classifier, ()) as maps:
        classifier(images())
    assert maps == []


def test_nothing_of_the_network_changes(classifier: ClassificationNetwork) -> None:
    keys = list(classifier.state_dict())
    with (
        pytest.raises(ZeroDivisionError),
        tapped(classifier, find_taps(classifier, "pre_relu")),
    ):
        raise ZeroDivisionError
    assert list(classifier.state_dict()) == keys
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in classifier.modules())


@torch.no_grad()
def test_taps_of_one_network_serve_another_built_alike() -> None:
    torch.manual_seed(0)
    first, second = (build_classifier("cifar-resnet-8", 3).eval() for _ in range(2))
    with tapped(second, find_taps(first, "pre_relu")) as maps:
        second(images())
    with tapped(second, find_taps(second, "pre_relu")) as own:
        second(images())
    assert all(torch.equal(left, right) for left, right in zip(maps, own, strict=True))


@pytest.mark.parametrize("name", ["B4", "b1", "res1_3", "trunk.B1", "", "res2_last"])
def test_unknown_names_are_refused_with_those_that_there_are(
    classifier: ClassificationNetwork, name: str
) -> None:
    known = r"B1 \(res1_1 to res1_2\), B2 \(res2_1 to res2_2\), B3 \(res3_1 to res3_2\)"
    with pytest.raises(NetworkError, match=f"no tap '{name}'.*{known}") as caught:
        find_taps(classifier, "end", [name])
    assert "\n" not in str(caught.value)


def test_a_wrong_order_is_refused_but_heads_stand_beside_each_other(
    classifier: ClassificationNetwork,
) -> None:
    with pytest.raises(NetworkError, match="from shallow to deep; res1_2 comes too late in B2, res1_2"):
        find_taps(classifier, "end", ["B2", "res1_2"])
    network = ensemble()
    with pytest.raises(NetworkError, match=r"trunk.B2 comes too late"):
        find_taps(network, "end", ["head2.B3", "trunk.B2"])
    assert [tap.name for tap in find_taps(network, "end", ["head2.B4", "head1.B3"])] == [
        "head2.B4",
        "head1.B3",
    ]

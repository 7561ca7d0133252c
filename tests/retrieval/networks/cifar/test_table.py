import pytest
import torch

from retrieval.errors import NetworkError
from retrieval.networks.cifar import CIFAR_NETWORKS, cifar_network


@pytest.mark.parametrize("name", CIFAR_NETWORKS)
def test_known_names_are_as_deep_as_they_say(name: str) -> None:
    with torch.device("meta"):
        parts = cifar_network(name)
    assert parts is not None
    inner = sum(
        key.endswith("weight") and value.ndim == 4 and "shortcut" not in key
        for group in parts.groups
        for block in group
        for key, value in block.state_dict().items()
    )
    # Beside those of the blocks: the stem's and the class layer; in a wide ResNet the stem's and three shortcuts'.
    depth = int(name.removeprefix("cifar-").split("-")[1])
    assert inner + (4 if name.startswith("wrn") else 2) == depth


@pytest.mark.parametrize(
    ("name", "depths"),
    [
        ("wrn-17-2", r"6n \+ 4 \(10, 16, 22, 28"),
        ("wrn-4-2", r"6n \+ 4"),
        ("cifar-resnet-51", r"6n \+ 2 \(8, 14, 20, 26"),
        ("cifar-resnet-2", r"6n \+ 2"),
        ("pyramidnet-109-84", r"6n \+ 2"),
        ("pyramidnet-201-240", r"9n \+ 2"),
    ],
)
def test_depths_that_a_family_lacks_are_refused(name: str, depths: str) -> None:
    with pytest.raises(NetworkError, match=rf"must be {depths}.*; got '{name}'"):
        cifar_network(name)


@pytest.mark.parametrize("name", ["wrn-16-1000", "cifar-resnet-1208", "pyramidnet-110-99999"])
def test_slips_that_would_fill_the_memory_are_refused(name: str) -> None:
    with pytest.raises(NetworkError, match="too large"):
        cifar_network(name)


@pytest.mark.parametrize(
    "name", ["", "wrn", "wrn-16", "wrn-16-0", "wrn-16-2-1", "WRN-16-2", "resnet18", "wrn-²-1"]
)
def test_names_of_another_form_are_no_networks_for_cifar(name: str) -> None:
    assert cifar_network(name) is None

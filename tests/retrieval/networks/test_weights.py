import socket
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_small, resnet18

from retrieval.errors import NetworkError
from retrieval.networks.backbones import backbone_row
from retrieval.networks.ensemble import build_ensemble
from retrieval.networks.presets import preset_spec
from retrieval.networks.weights import imagenet_state_dict


@pytest.fixture(scope="module")
def published() -> nn.Module:
    torch.manual_seed(1)
    network: nn.Module = resnet18().eval()
    return network


def pooled(network: nn.Module, images: Tensor) -> Tensor:
    """torchvision's own features: its network with the classifier replaced by the identity."""
    classifier = network.get_submodule("fc")
    network.add_module("fc", nn.Identity())
    with torch.no_grad():
        features: Tensor = network(images)
    network.add_module("fc", classifier)
    return features


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("with_classifier", [True, False])
def test_single_gives_torchvisions_features(
    tmp_path: Path, published: nn.Module, suffix: str, with_classifier: bool
) -> None:
    state = {k: v for k, v in published.state_dict().items() if with_classifier or not k.startswith("fc.")}
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    network = build_ensemble(preset_spec("single", "resnet18"), weights=path).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network(images)[0], pooled(published, images), rtol=0, atol=0)


def test_every_head_starts_from_the_same_weights(tmp_path: Path, published: nn.Module) -> None:
    path = tmp_path / "weights.pth"
    torch.save(published.state_dict(), path)
    state = build_ensemble(preset_spec("hdhe", "resnet18"), weights=path).state_dict()
    for name in ("heads.0.groups.B3.1.conv2.weight", "heads.1.groups.B3.1.conv2.weight"):
        assert torch.equal(state[name], published.state_dict()["layer3.1.conv2.weight"])
    assert torch.equal(state["trunk.groups.B2.0.bn1.bias"], published.state_dict()["layer2.0.bn1.bias"])


def test_mobilenet_takes_torchvisions_state_dict(tmp_path: Path) -> None:
    truth = mobilenet_v3_small().eval()
    path = tmp_path / "weights.pth"
    torch.save(truth.state_dict(), path)
    network = build_ensemble(preset_spec("single", "mobilenet_v3_small"), weights=path).eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(network(images)[0], truth.features(images).mean((2, 3)))


def refused(path: Path, message: str) -> None:
    with pytest.raises(NetworkError, match=message) as raised:
        build_ensemble(preset_spec("single", "resnet18"), weights=path)
    assert "\n" not in str(raised.value)


def test_files_that_are_no_state_dict_are_refused(tmp_path: Path, published: nn.Module) -> None:
    refused(tmp_path / "none.pth", r"cannot read the weights .*none\.pth: No such file")
    refused(tmp_path / "none.safetensors", r"cannot read the weights .*none\.safetensors: No such file")
    refused(tmp_path, "cannot read the weights .*: Is a directory")
    for name, content in [("empty", b""), ("text", b"hello"), ("half", b"PK\x03\x04" + b"\x00" * 40)]:
        for suffix in (".pth", ".safetensors"):
            (tmp_path / f"{name}{suffix}").write_bytes(content)
            refused(tmp_path / f"{name}{suffix}", "is not a state dict")
    torch.save({"model": published.state_dict()}, tmp_path / "nested.pth")
    refused(tmp_path / "nested.pth", "must hold tensors by key")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    refused(tmp_path / "list.pth", "must hold tensors by key")
    # A whole pickled network is code, and is never run.
    torch.save(published, tmp_path / "pickled.pth")
    refused(tmp_path / "pickled.pth", "is not a state dict")


def test_a_state_dict_of_another_network_is_refused(tmp_path: Path, published: nn.Module) -> None:
    state = published.state_dict()
    torch.save(mobilenet_v3_small().state_dict(), tmp_path / "mobile.pth")
    refused(tmp_path / "mobile.pth", r"does not hold a resnet18: \d+ missing \(bn1.bias, ...\), \d+ unknown")
    torch.save({k: v for k, v in state.items() if k != "conv1.weight"}, tmp_path / "short.pth")
    refused(tmp_path / "short.pth", r"1 missing \(conv1.weight\), no key unknown")
    torch.save(state | {"conv1.weight": torch.zeros(64, 1, 7, 7)}, tmp_path / "grey.pth")
    refused(tmp_path / "grey.pth", r"conv1.weight has shape \(64, 1, 7, 7\), not \(64, 3, 7, 7\)")


def test_old_files_without_batch_counters_are_taken(tmp_path: Path, published: nn.Module) -> None:
    state = {k: v for k, v in published.state_dict().items() if not k.endswith("num_batches_tracked")}
    torch.save(state, tmp_path / "old.pth")
    build_ensemble(preset_spec("single", "resnet18"), weights=tmp_path / "old.pth")


@pytest.mark.parametrize(
    "failure", [URLError(OSError("no route")), RuntimeError("invalid hash value"), ImportError("no module")]
)
def test_weights_that_cannot_be_downloaded_name_the_way_out(failure: Exception) -> None:
    def imagenet() -> dict[str, Tensor]:
        raise failure

    with pytest.raises(NetworkError, match=r"weights of resnet18 cannot be had here .* give the path"):
        imagenet_state_dict(replace(backbone_row("resnet18"), imagenet=imagenet))


def test_torchvision_offline_ends_in_that_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise socket.gaierror(-3, "name resolution is off in this test")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(NetworkError, match="ImageNet weights of resnet18 cannot be had here"):
        build_ensemble(preset_spec("single", "resnet18"), weights="imagenet")
    assert not list(tmp_path.rglob("*.pth"))


def test_no_weights_means_random_ones() -> None:
    spec = preset_spec("single", "mobilenet_v3_small")
    first, second = (build_ensemble(spec, weights=None).state_dict() for _ in range(2))
    assert not torch.equal(first["trunk.stem.0.weight"], second["trunk.stem.0.weight"])

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from retrieval.networks.cifar.cifar_resnet import PaddedShortcut
from retrieval.networks.classifiers import build_classifier, classifier_cost


# He et al. (CVPR 2016), table 6: millions of parameters at CIFAR-10.
@pytest.mark.parametrize(("depth", "published"), [(20, 0.27), (32, 0.46), (56, 0.85), (110, 1.7)])
def test_parameters_are_the_papers(depth: int, published: float) -> None:
    counted = classifier_cost(f"cifar-resnet-{depth}", 10).parameters / 1e6
    assert round(counted, 1 if depth == 110 else 2) == published


def test_resnet_56_at_100_classes_has_the_published_size() -> None:
    # Heo et al. (ICCV 2019).
    assert round(classifier_cost("cifar-resnet-56", 100).parameters / 1e6, 2) == 0.86


def test_the_shortcut_takes_every_second_pixel_and_adds_zeros() -> None:
    x = torch.arange(9.0).reshape(1, 1, 3, 3)
    assert PaddedShortcut(2)(x).tolist() == [[[[0, 2], [6, 8]], [[0, 0], [0, 0]], [[0, 0], [0, 0]]]]


def test_computes_what_the_paper_writes() -> None:
    torch.manual_seed(0)
    network = build_classifier("cifar-resnet-14", 5)
    images = torch.randn(4, 3, 16, 18)
    network(images)
    network.eval()
    state = network.state_dict()

    def normed(x: Tensor, key: str, norm: str, stride: int = 1) -> Tensor:
        x = F.conv2d(x, state[f"{key}conv{norm}.weight"], stride=stride, padding=1)
        norm = f"{key}bn{norm}."
        mean, var = state[f"{norm}running_mean"], state[f"{norm}running_var"]
        return F.batch_norm(x, mean, var, state[f"{norm}weight"], state[f"{norm}bias"])

    with torch.no_grad():
        x = normed(images, "stem.", "1").relu()
        for group in (1, 2, 3):
            for block in (0, 1):
                key, halves = f"groups.B{group}.{block}.", group > 1 and block == 0
                residual = normed(normed(x, key, "1", 2 if halves else 1).relu(), key, "2")
                if halves:
                    x = torch.cat([x[:, :, ::2, ::2], torch.zeros_like(x[:, :, ::2, ::2])], dim=1)
                x = (x + residual).relu()
        truth = F.linear(x.mean((2, 3)), state["classifier.weight"], state["classifier.bias"])
        torch.testing.assert_close(network(images), truth, rtol=1e-4, atol=1e-4)

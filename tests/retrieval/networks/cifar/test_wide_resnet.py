import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from retrieval.networks.classifiers import build_classifier, classifier_cost


# Heo et al. (ICCV 2019): millions of parameters at CIFAR-100; 1.479 is printed as 1.47, cut.
@pytest.mark.parametrize(
    ("name", "published", "exact"),
    [
        ("wrn-28-4", 5.87, 5_872_180),
        ("wrn-16-4", 2.77, 2_772_020),
        ("wrn-28-2", 1.47, 1_479_220),
        ("wrn-16-2", 0.70, 703_284),
    ],
)
def test_parameters_are_the_published_ones(name: str, published: float, exact: int) -> None:
    counted = classifier_cost(name, 100).parameters
    assert counted == exact
    assert counted // 10_000 == round(published * 100)


def test_parameters_of_wrn_40_4_are_the_papers() -> None:
    # Zagoruyko & Komodakis, table 4: 8.9 million at CIFAR-10.
    assert round(classifier_cost("wrn-40-4", 10).parameters / 1e6, 1) == 8.9


def naive(state: dict[str, Tensor], images: Tensor) -> Tensor:
    """WRN-16-k as the paper's table 1 and figure 1 (a) write it, in evaluation mode."""

    def active(x: Tensor, key: str) -> Tensor:
        mean, var = state[f"{key}.running_mean"], state[f"{key}.running_var"]
        scaled = (x - mean[:, None, None]) / (var[:, None, None] + 1e-5).sqrt()
        return (scaled * state[f"{key}.weight"][:, None, None] + state[f"{key}.bias"][:, None, None]).clamp(
            min=0
        )

    x = F.conv2d(images, state["stem.weight"], padding=1)
    for group in (1, 2, 3):
        for block in (0, 1):
            key, stride = f"groups.B{group}.{block}", 2 if group > 1 and block == 0 else 1
            before = active(x, f"{key}.bn1")
            middle = F.conv2d(before, state[f"{key}.conv1.weight"], stride=stride, padding=1)
            after = F.conv2d(active(middle, f"{key}.bn2"), state[f"{key}.conv2.weight"], padding=1)
            shortcut = F.conv2d(before, state[f"{key}.shortcut.weight"], stride=stride) if block == 0 else x
            x = shortcut + after
    feature = active(x, "tail.bn").mean((2, 3))
    return feature @ state["classifier.weight"].T + state["classifier.bias"]


def test_computes_what_the_paper_writes() -> None:
    torch.manual_seed(0)
    network = build_classifier("wrn-16-2", 7)
    images = torch.randn(4, 3, 18, 16)
    network(images)  # running statistics that are not 0 and 1
    network.eval()
    state = network.state_dict()
    for key, value in state.items():
        if "bn" in key and key.endswith("bias"):
            value.normal_()
    with torch.no_grad():
        torch.testing.assert_close(network(images), naive(state, images), rtol=1e-4, atol=1e-4)


def test_no_shortcut_is_learned_where_nothing_changes() -> None:
    network = build_classifier("wrn-10-1", 10)
    found = [name for name, _ in network.named_parameters() if "shortcut" in name]
    assert found == ["groups.B2.0.shortcut.weight", "groups.B3.0.shortcut.weight"]

import numpy as np
import torch
from torch import Tensor

from tests.training.ensembles import naive
from training.ensembles.adversary import Regressor, reversed_gradient


def test_only_the_gradient_is_reversed() -> None:
    x = torch.randn(3, 4, requires_grad=True)
    y = reversed_gradient(x, 0.25)
    torch.testing.assert_close(y, x)
    (gradient,) = torch.autograd.grad((y * y).sum(), x)
    torch.testing.assert_close(gradient, -0.25 * 2 * x.detach())


def test_the_score_is_the_mean_square_of_products() -> None:
    torch.manual_seed(0)
    regressor = Regressor(5, 8, 3).double()
    (target, source), _ = naive.made_up(sizes=(3, 5))
    f, g = naive.unit(target), naive.unit(source) * 5**0.5
    first, _, last = ([p.detach().numpy() for p in layer.parameters()] for layer in regressor.layers)
    g = np.maximum(g @ first[0].T + first[1], 0) @ last[0].T + last[1]
    total = 0.0
    for row, found in zip(f, g, strict=True):
        found = found / np.linalg.norm(found)
        # Both at a mean square of 1, as in the paper's formula.
        total += float(np.mean((row * 3**0.5 * found * 3**0.5) ** 2)) / len(f)
    units = [torch.from_numpy(naive.unit(feature)) for feature in (source, target)]
    torch.testing.assert_close(regressor(*units).item(), total)


def test_the_score_is_bounded_by_the_targets_size() -> None:
    torch.manual_seed(0)
    regressor = Regressor(5, 8, 3)
    with torch.no_grad():
        for parameter in regressor.parameters():
            parameter.mul_(1e3)
        regressor.get_parameter("layers.2.bias").copy_(torch.tensor([1e9, 0, 0]))
        score = regressor(torch.eye(5)[:1], torch.eye(3)[:1])
    torch.testing.assert_close(score, torch.tensor(3.0))


def fight(source: Tensor, target: Tensor, *, factor: float) -> tuple[float, float]:
    """How far a regressor trained on two features gets, before and after the features answer it."""
    torch.manual_seed(0)
    regressor = Regressor(source.shape[1], 16, target.shape[1])
    source, target = source.clone().requires_grad_(), target.clone().requires_grad_()
    optimiser = torch.optim.SGD([*regressor.parameters(), source, target], lr=0.2)

    def score() -> Tensor:
        unit = [torch.nn.functional.normalize(x, dim=1) for x in (source, target)]
        found: Tensor = regressor(*(reversed_gradient(x, factor) for x in unit))
        return found

    before = score().item()
    for _ in range(60):
        optimiser.zero_grad()
        torch.autograd.backward(-score())
        optimiser.step()
    return before, score().item()


def test_a_regressor_learns_what_features_have_in_common_and_they_unlearn_it() -> None:
    generator = torch.Generator().manual_seed(1)
    source = torch.randn(40, 6, generator=generator)
    target = source[:, :4] + 0.1 * torch.randn(40, 4, generator=generator)
    before, learned = fight(source, target, factor=0.0)
    _, answered = fight(source, target, factor=20.0)
    assert learned > 1.2 * before
    assert answered < 0.9 * learned

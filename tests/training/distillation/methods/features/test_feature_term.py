"""Terms of features: what they sum up, with values done by hand, and their gradients numerically."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from retrieval.errors import UserError
from tests.training.distillation.methods.feature_steps import ROWS, maps, setup, step, term
from training.distillation.methods.features.activation_overlap import overlap
from training.distillation.methods.features.feature_term import FeatureTerm
from training.distillation.methods.term import Term

ASPECTS = [name for name in ROWS if name != "fsp"]


def constant(value: float, *shape: int) -> Tensor:
    return torch.full(shape, value)


def test_ab_is_zero_beyond_the_margin_and_its_square_on_the_boundary() -> None:
    ab = term("ab", setup([3], [3]))
    teacher = maps(0, 5, 3, 2, 2)
    beyond = torch.where(teacher > 0, 1.0, -1.0).double()
    assert ab(step([teacher], [1.5 * beyond])).item() == 0
    assert ab(step([teacher], [0 * beyond])).item() == pytest.approx(3 * 2 * 2)  # mu^2 an element, an image
    wider = term("ab", setup([3], [3]), mu=2.0)
    assert wider(step([teacher], [0 * beyond])).item() == pytest.approx(4 * 12)


def test_deeper_layers_count_twice_as_much_in_ab() -> None:
    ab = term("ab", setup([1, 1, 1], [1, 1, 1]))
    teachers = [constant(1, 2, 1, 4, 4), constant(1, 2, 1, 2, 2), constant(1, 2, 1, 1, 1)]
    students = [torch.zeros_like(teacher) for teacher in teachers]
    assert ab(step(teachers, students)).item() == pytest.approx(16 / 4 + 4 / 2 + 1)


def test_ofd_by_hand() -> None:
    # Default batch norms: margins of -0.79788. Responses -5, 2 of the teacher become -0.79788, 2.
    ofd = term("ofd", setup([1], [1]), always_connect=False)
    teacher = torch.tensor([[[[-5.0, 2.0]]], [[[-5.0, 2.0]]]])
    student = torch.tensor([[[[-4.0, 2.0]]], [[[0.0, 3.0]]]])
    assert ofd(step([teacher], [student])).item() == pytest.approx((0 + 0 + 0.7978846**2 + 1) / 2)


@pytest.mark.parametrize(
    ("layers", "count", "compared"),
    [("all", 3, [0, 1, 2]), ("middle", 3, [1]), ("middle", 4, [1]), ("middle", 1, [0]), ("last", 3, [2])],
)
def test_which_layers_are_compared(layers: str, count: int, compared: list[int]) -> None:
    fitnets = term("fitnets", setup([1] * count, [1] * count), layers=layers, always_connect=False)
    teachers, students = (
        [constant(0, 1, 1, 1, 1)] * count,
        [constant(10**i, 1, 1, 1, 1) for i in range(count)],
    )
    assert fitnets(step(teachers, students)).item() == sum(100**i for i in compared)


def test_at_by_hand() -> None:
    at = term("at", setup([1, 2], [1, 1]))
    teachers = [torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([[[[1.0]], [[2.0]]]])]
    students = [torch.tensor([[[[0.0, 3.0]]]]), torch.tensor([[[[9.0]]]])]
    # Unit vectors (1, 0) and (0, 1) differ by 1 twice; maps of one place never differ.
    assert at(step(teachers, students)).item() == pytest.approx(1.0)


def test_fitnets_is_the_mean_of_squares() -> None:
    fitnets = term("fitnets", setup([2], [2]), always_connect=False)
    teacher, student = maps(0, 3, 2, 2, 2), maps(1, 3, 2, 2, 2)
    differences = (teacher - student).flatten().tolist()
    expected = sum(x * x for x in differences) / len(differences)
    assert fitnets(step([teacher], [student])).item() == pytest.approx(expected)


def test_ft_compares_the_factors_of_the_last_layer() -> None:
    torch.manual_seed(0)
    ft = term("ft", setup([4, 4], [3, 3])).double()
    assert isinstance(ft, FeatureTerm)
    teachers, students = (
        [maps(0, 2, 4, 4, 4), maps(1, 2, 4, 2, 2)],
        [maps(2, 2, 3, 4, 4), maps(3, 2, 3, 2, 2)],
    )
    ((target, answer),) = ft.pairs(step(teachers, students))
    assert target.shape == answer.shape == (2, 2 * 2 * 2)
    for vectors in (target, answer):
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2).double())
    values = zip(target.flatten().tolist(), answer.flatten().tolist(), strict=True)
    expected = sum(abs(t - s) for t, s in values) / 16
    assert ft(step(teachers, students)).item() == pytest.approx(expected)
    assert ft(step([maps(9, 2, 4, 4, 4), teachers[1]], students)).item() == pytest.approx(expected)


def test_at_does_not_see_the_scale_of_features() -> None:
    at = term("at", setup([4, 4], [3, 3]))
    teachers, students = (
        [maps(0, 2, 4, 4, 4), maps(1, 2, 4, 2, 2)],
        [maps(2, 2, 3, 4, 4), maps(3, 2, 3, 2, 2)],
    )
    value = at(step(teachers, students))
    scaled = at(step([50 * t for t in teachers], [0.02 * s for s in students]))
    assert value > 0
    torch.testing.assert_close(scaled, value)


@pytest.mark.parametrize(("teacher", "student"), [((4, 4), (2, 2)), ((2, 2), (4, 4)), ((3, 4), (2, 5))])
@pytest.mark.parametrize("name", ASPECTS)
def test_maps_of_two_sizes(name: str, teacher: tuple[int, int], student: tuple[int, int]) -> None:
    built = term(name, setup([2], [3]))
    assert built(step([torch.randn(2, 2, *teacher)], [torch.randn(2, 3, *student)])).isfinite()


def test_the_larger_map_is_pooled_before_it_is_compared() -> None:
    fitnets = term("fitnets", setup([1], [1]), always_connect=False)
    teacher = torch.tensor([[[[1.0, 3.0], [5.0, 7.0]]]])
    assert fitnets(step([teacher], [constant(1, 1, 1, 1, 1)])).item() == pytest.approx(9)


@pytest.mark.parametrize("name", ROWS)
def test_gradients_for_the_student(name: str) -> None:
    torch.manual_seed(0)
    built = term(name, setup([2, 4], [3, 2])).double()
    teachers = [maps(0, 2, 2, 3, 3), maps(1, 2, 4, 2, 2)]
    students = [maps(2, 2, 3, 3, 3).requires_grad_(), maps(3, 2, 2, 2, 2).requires_grad_()]
    assert torch.autograd.gradcheck(lambda *taps: built(step(teachers, taps)), students)


@pytest.mark.parametrize("name", ROWS)
def test_weights_of_the_students_side_learn_and_the_teachers_side_does_not(name: str) -> None:
    built = term(name, setup([2, 4], [3, 2]))
    students = [torch.randn(2, 3, 4, 4, requires_grad=True), torch.randn(2, 2, 2, 2, requires_grad=True)]
    value = built(step([torch.randn(2, 2, 4, 4), torch.randn(2, 4, 2, 2)], students))
    torch.autograd.backward(value)
    prepared = {id(parameter) for parameter in built.preparation_parameters()}
    for parameter in built.parameters():
        assert (parameter.grad is None) == (id(parameter) in prepared)


@pytest.mark.parametrize("name", ROWS)
def test_half_precision_and_autocast_change_nothing_but_the_input(name: str) -> None:
    built = term(name, setup([2, 4], [3, 2])).eval()
    halves = [[torch.randn(2, c, 4, 4).bfloat16() for c in channels] for channels in ((2, 4), (3, 2))]
    with torch.autocast("cpu", torch.bfloat16):
        value = built(step(*halves))
    assert value.dtype == torch.float32
    assert value == built(step(*([maps.float() for maps in taps] for taps in halves)))


def test_only_ft_prepares_and_only_by_the_teacher() -> None:
    torch.manual_seed(0)
    ft = term("ft", setup([2, 4], [3, 2]))
    assert isinstance(ft, FeatureTerm)
    teachers, students = [torch.randn(4, 2, 4, 4), torch.randn(4, 4, 2, 2)], [torch.randn(4, 3, 4, 4)] * 2
    optimiser = torch.optim.SGD(ft.preparation_parameters(), lr=0.3)
    errors = []
    for _ in range(20):
        error = ft.preparation(step(teachers, students).teacher)
        assert error is not None
        optimiser.zero_grad()
        torch.autograd.backward(error)
        optimiser.step()
        errors.append(error.item())
    assert errors[-1] < errors[0]
    assert len(ft.preparation_parameters()) == 12
    assert all(p.grad is None for p in ft.student_transforms.parameters())
    for name in set(ROWS) - {"ft"}:
        other = term(name, setup([2, 4], [3, 2]))
        assert other.preparation(step(teachers, students).teacher) is None
        assert other.preparation_parameters() == []


@pytest.mark.parametrize("teacher", ["none", "relu", "margin_relu", "binarise"])
def test_activations_can_be_counted_in_transformed_maps(teacher: str) -> None:
    ours, theirs = maps(0, 2, 3, 4, 4), maps(1, 2, 3, 4, 4)
    given = {"teacher_transform": teacher, "student_transform": "connector_relu"}
    built = term("ab", setup([3], [3]), **given)
    assert isinstance(built, FeatureTerm)
    ((target, answer),) = built.pairs(step([theirs], [ours]))
    assert overlap(target, answer) == overlap(theirs, ours)


def test_aspects_can_be_exchanged() -> None:
    teacher, student = constant(-2, 2, 1, 2, 2), constant(1, 2, 1, 2, 2)

    def value(**given: object) -> float:
        built: Term = term("ofd", setup([1], [1]), always_connect=False, **given)
        return float(built(step([teacher], [student])))

    assert value(teacher_transform="none") == pytest.approx(4 * 9)
    assert value(teacher_transform="none", reduction="mean") == pytest.approx(9)
    assert value(teacher_transform="relu") == pytest.approx(4 * 1)
    assert value(teacher_transform="binarise", distance="l1") == pytest.approx(4 * 1)
    assert value(distance="marginal_l2") == pytest.approx(4 * 4)
    assert value(margins="running", distance="l2") == pytest.approx(4 * 9)  # the mean negative response is -2
    assert value(teacher_transform="attention", student_transform="attention") == pytest.approx(0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"teacher_transform": "attention"}, "teacher_transform attention needs student_transform attention"),
        (
            {"teacher_transform": "paraphraser"},
            "paraphraser needs student_transform translator; got connector",
        ),
        ({"student_transform": "attention"}, "student_transform attention needs teacher_transform attention"),
        ({"student_transform": "translator"}, "needs teacher_transform paraphraser; got margin_relu"),
        ({"student_transform": "none"}, "set student_transform to connector"),
        ({"distance": "l3"}, "method ofd: distance must be one of l1, l2, l0.5, marginal_l2, partial_l2"),
    ],
)
def test_aspects_that_do_not_go_together(given: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        term("ofd", setup([2], [3]), **given)


@pytest.mark.parametrize("name", ASPECTS)
def test_no_taps(name: str) -> None:
    with pytest.raises(UserError, match="no features to compare"):
        term(name, setup([], []))

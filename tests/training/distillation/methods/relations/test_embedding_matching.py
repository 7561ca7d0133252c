from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from retrieval.errors import UserError
from tests.training.distillation.methods.signal_steps import classifiers, embedders, output, step
from training.distillation.methods.relations.embedding_matching import EmbeddingMatching, cosine_distance
from training.distillation.methods.relations.relation_methods import RELATION_METHODS

ROW = {row.name: row for row in RELATION_METHODS}["embedding_matching"]


def test_by_hand() -> None:
    teacher = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    student = torch.tensor([[0.6, 0.8], [0.0, -1.0]], dtype=torch.float64)
    assert cosine_distance(student, teacher).item() == pytest.approx((0.4 + 2) / 2)
    assert cosine_distance(teacher, teacher).item() == pytest.approx(0, abs=1e-12)
    half_square = (student - teacher).square().sum(1).mean() / 2
    assert cosine_distance(student, teacher).item() == pytest.approx(half_square.item())


def test_gradients() -> None:
    student = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda s: cosine_distance(s, teacher), (student,))


def test_equal_sizes_have_nothing_to_learn_beside_the_student() -> None:
    term = ROW.build(embedders(4, 4), *ROW.resolve({}))
    assert not list(term.parameters())
    x, y = torch.randn(3, 4), torch.randn(3, 4)
    value = term(step(output(embedding=F.normalize(x, dim=1)), output(embedding=F.normalize(y, dim=1))))
    torch.testing.assert_close(value, cosine_distance(x, y))


def test_a_learned_map_for_other_sizes_normalised_behind_it() -> None:
    term = ROW.build(embedders(2, 3), *ROW.resolve({"connector": "linear"}))
    assert isinstance(term, EmbeddingMatching)
    assert term.connector is not None
    term.connector.weight.data = torch.tensor([[5.0, 0], [0, 5], [0, 0]])
    student = torch.tensor([[0.6, 0.8]], requires_grad=True)
    value = term(step(output(embedding=student), output(embedding=torch.tensor([[1.0, 0, 0]]))))
    assert value.item() == pytest.approx(0.4)
    value.backward()
    assert student.grad is not None
    assert term.connector.weight.grad is not None


def test_single_precision_under_autocast() -> None:
    term = ROW.build(embedders(4, 3), *ROW.resolve({"connector": "linear"}))
    made = step(output(embedding=torch.randn(3, 4)), output(embedding=torch.randn(3, 3)))
    expected = term(made)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(term(made), expected)


def test_other_sizes_without_the_map_are_refused() -> None:
    with pytest.raises(UserError, match="has 512 numbers, the teacher's 1024; give the student"):
        ROW.build(embedders(512, 1024), *ROW.resolve({}))


@pytest.mark.parametrize("name", ["embedding_matching", "relations"])
def test_classifiers_have_no_embedding(name: str) -> None:
    row = {row.name: row for row in RELATION_METHODS}[name]
    with pytest.raises(UserError, match=f"method {name} compares embeddings; it needs two networks for"):
        row.build(classifiers(), *row.resolve({}))

"""Several models as one, against the plain formula."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from retrieval.bundle import load_bundle
from retrieval.embedder import Embedder
from tests.training.studies.in_this_process import InThisProcess
from tests.training.studies.narrowed import recipe_of
from training.data import open_subsets
from training.studies.laboratory import Laboratory
from training.studies.plan import Plan
from training.studies.study import Row, Study
from training.studies.together import concatenate


def test_models_weigh_the_same_whatever_their_lengths() -> None:
    a = np.array([[3.0, 4.0], [0.0, 2.0]], np.float32)
    b = np.array([[0.0, 0.0, 10.0], [1.0, 0.0, 0.0]], np.float32)
    half = 0.5**0.5
    expected = [[0.6 * half, 0.8 * half, 0, 0, half], [0, half, half, 0, 0]]
    joined = concatenate([a, b])
    assert joined.dtype == np.float32
    np.testing.assert_allclose(joined, expected, rtol=1e-6)


def test_a_row_of_zeros_stays() -> None:
    zero, unit = np.zeros((1, 2), np.float32), np.array([[0, 1]], np.float32)
    assert concatenate([zero, unit]).tolist() == [[0, 0, 0, 1]]
    assert concatenate([zero, zero]).tolist() == [[0, 0, 0, 0]]


def test_the_score_of_two_networks_is_that_of_a_naive_search(make_plan: Callable[..., Plan]) -> None:
    # Pretrained, because embeddings by random weights lie so close together that rounding decides their order.
    pretrained = {"network.backbone": "efficientnet_lite0", "network.weights": "imagenet"}
    plan = make_plan(Study("tiny", "?", "!", (Row("two", pretrained, models=2),)))
    Laboratory(plan, InThisProcess(), 1, report=lambda line: None).run(1, lambda planned: None)
    (trial,) = plan.rows[0].trials
    assert trial.score is not None
    score = json.loads(trial.score.read_text())

    _, validation = open_subsets(recipe_of(trial.runs[0]), lambda line: None)
    assert validation is not None
    # The cosine of two models side by side is the mean of their cosines.
    similarity = np.zeros((len(validation), len(validation)))
    for run in trial.runs:
        unit = Embedder(load_bundle(run.folder / "bundle")).embed(validation.paths).astype(np.float64)
        similarity += unit @ unit.T / 2
    labels = validation.labels
    hits = {1: 0, 2: 0}
    precision = []
    for query in range(len(labels)):
        ranked = [other for other in np.argsort(-similarity[query], kind="stable") if other != query]
        right = labels[ranked] == labels[query]
        for k in hits:
            hits[k] += bool(right[:k].any())
        positives = int(right.sum())
        found = np.cumsum(right[:positives]) / np.arange(1, positives + 1)
        precision.append(float((found * right[:positives]).sum() / positives))
    assert score["recall"] == {str(k): pytest.approx(count / len(labels)) for k, count in hits.items()}
    assert score["map_at_r"] == pytest.approx(np.mean(precision), abs=1e-6)
    assert score["embedding_size"] == 2 * load_bundle(trial.runs[0].folder / "bundle").embedding_size

import pytest

from retrieval.networks.spec import HeadSpec, Reduction


@pytest.mark.parametrize(
    ("reduction", "expected"),
    [("none", True), ("linear", False), ("penultimate", False), ("penultimate+", True)],
)
def test_which_features_are_classified_through_a_block(reduction: Reduction, expected: bool) -> None:
    assert HeadSpec(reduction=reduction).classifier_block is expected

"""Running means of the embeddings of each class."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from training.sampling.signatures import ClassSignatures


def test_signatures_are_running_means_of_the_concatenated_unit_features() -> None:
    signatures = ClassSignatures(3, 5, momentum=0.75)
    batches = [(torch.randn(4, 2), torch.randn(4, 3), torch.tensor([0, 2, 0, 2])) for _ in range(3)]
    expected: dict[int, torch.Tensor] = {}
    for one, two, labels in batches:
        signatures.update((one, two), labels)
        for label in (0, 2):
            rows = [
                torch.cat([F.normalize(one[i], dim=0), F.normalize(two[i], dim=0)])
                for i in range(4)
                if labels[i] == label
            ]
            mean = (rows[0] + rows[1]) / 2
            expected[label] = 0.75 * expected[label] + 0.25 * mean if label in expected else mean
    signatures.start_epoch()
    vectors = torch.from_numpy(signatures.vectors())
    for label, vector in expected.items():
        torch.testing.assert_close(vectors[label], vector)
    assert not vectors[1].any()  # never seen


def test_within_an_epoch_they_stand_still_and_a_checkpoint_keeps_both() -> None:
    signatures, labels = ClassSignatures(2, 4), torch.tensor([0, 1])
    signatures.update((torch.randn(2, 4),), labels)
    signatures.start_epoch()
    at_start = signatures.vectors()
    signatures.update((torch.randn(2, 4),), labels)
    resumed = ClassSignatures(2, 4)
    resumed.load_state_dict(signatures.state_dict())
    assert (resumed.vectors() == at_start).all()
    resumed.start_epoch()
    assert (resumed.vectors() != at_start).any()
    assert not list(signatures.parameters())

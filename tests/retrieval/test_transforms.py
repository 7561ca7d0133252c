import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import v2

from retrieval.errors import BundleError
from retrieval.transforms import Preprocessing


def picture(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize("size", [(61, 83), (300, 200), (64, 64), (20, 20)])
@pytest.mark.parametrize(("pixels", "resize"), [(56, 64), (64, None), (55, 64), (64, 64)])
def test_preparing_agrees_with_torchvision(size: tuple[int, int], pixels: int, resize: int | None) -> None:
    side = resize or pixels
    reference = v2.Compose(
        [v2.Resize((side, side), interpolation=v2.InterpolationMode.BICUBIC), v2.CenterCrop(pixels)]
    )
    prepared = Preprocessing(pixels, resize).prepare(picture(*size))
    assert prepared.dtype == np.uint8
    assert np.array_equal(prepared, np.asarray(reference(picture(*size))))


def test_normalising_agrees_with_torchvision() -> None:
    preprocessing = Preprocessing(32, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    batch = np.stack([preprocessing.prepare(picture(50, 40)), preprocessing.prepare(picture(32, 32))])
    reference = v2.Normalize([0.1, 0.2, 0.3], [0.5, 0.6, 0.7])(
        torch.from_numpy(batch).permute(0, 3, 1, 2) / 255
    )
    for given_as in (batch, torch.from_numpy(batch)):
        normalised = preprocessing.normalise(given_as)
        assert normalised.dtype == torch.float32
        assert normalised.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(normalised, reference, rtol=1e-5, atol=1e-5)


def test_an_empty_batch_is_normalised() -> None:
    assert Preprocessing(8).normalise(np.zeros((0, 8, 8, 3), np.uint8)).shape == (0, 3, 8, 8)


@settings(max_examples=50)
@given(
    st.integers(1, 4096).flatmap(
        lambda pixels: st.tuples(st.just(pixels), st.none() | st.integers(pixels, 4096))
    ),
    st.tuples(*[st.floats(-1, 1)] * 3),
    st.tuples(*[st.floats(0.01, 2)] * 3),
)
def test_the_dictionary_gives_the_preprocessing_back(
    sizes: tuple[int, int | None], mean: tuple[float, float, float], std: tuple[float, float, float]
) -> None:
    preprocessing = Preprocessing(*sizes, mean, std)
    assert Preprocessing.from_dict(preprocessing.to_dict()) == preprocessing


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"pixels": 0}, "pixels"),
        ({"pixels": "224"}, "pixels"),
        ({"pixels": True}, "pixels"),
        ({"pixels": 224, "resize": 200}, "resize"),
        ({"resize": 256.0}, "resize"),
        ({"mean": [0.5, 0.5]}, "mean"),
        ({"mean": [0.5, 0.5, float("nan")]}, "mean"),
        ({"std": [0.5, 0.5, 0.0]}, "std"),
        ({"std": "abc"}, "std"),
        ({"crop": 3}, "crop"),
    ],
)
def test_a_wrong_dictionary_names_its_key(values: dict[str, object], named: str) -> None:
    with pytest.raises(BundleError, match=named):
        Preprocessing.from_dict(values)

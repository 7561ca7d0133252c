import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.embeddings_file import EmbeddingsFile, read_embeddings, write_embeddings
from retrieval.errors import DataError

ROWS = np.array([[3, 4], [0, 1], [1, 0]], np.float32)
LABELS = np.array([1, 1, 2])


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "e.npz"
    rows = np.array([[0.6, 0.8], [0, 1], [1, 0]], np.float32)
    mask = np.array([True, False, True])
    names = np.array(["vase", "vase", "Krug ü"])
    write_embeddings(path, EmbeddingsFile(rows, names, mask, ~mask, np.array(["a", "b", "c"])))
    read = read_embeddings(path)
    np.testing.assert_array_equal(read.embeddings, rows)
    assert read.labels.tolist() == names.tolist()
    assert read.class_numbers.tolist() == [1, 1, 0]
    assert read.is_query is not None
    assert read.is_query.tolist() == mask.tolist()
    assert read.paths is not None
    assert read.paths.tolist() == ["a", "b", "c"]
    assert [file.name for file in tmp_path.iterdir()] == ["e.npz"]


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
def test_rows_are_normalised_unless_they_are(tmp_path: Path, scale: float) -> None:
    path = tmp_path / "e.npz"
    np.savez(path, embeddings=ROWS.astype(np.float64) * scale, labels=LABELS)
    truth = np.array([[0.6, 0.8], [0, 1], [1, 0]])
    assert np.abs(read_embeddings(path).embeddings - truth).max() < 1e-7
    nearly = (ROWS[:2] / np.array([[5], [1]]) * (1 + 1e-6)).astype(np.float32)
    np.savez(path, embeddings=nearly, labels=LABELS[:2])
    np.testing.assert_array_equal(read_embeddings(path).embeddings, nearly)


def with_(**changes: NDArray[Any] | None) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any] | None] = {"embeddings": ROWS, "labels": LABELS, **changes}
    return {name: array for name, array in arrays.items() if array is not None}


FALSE = np.zeros(3, bool)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (with_(embeddings=np.array([[1, 0], [np.nan, 1], [0, 1]])), "row 1 of embeddings holds NaN"),
        (with_(embeddings=np.array([[1, 0], [1, 0], [np.inf, 1]])), "row 2 of embeddings holds NaN or inf"),
        (with_(embeddings=np.array([[1, 0], [0, 0], [0, 1]])), "row 1 of embeddings is all zeros"),
        (with_(embeddings=np.ones(3)), "shape"),
        (with_(embeddings=np.ones((0, 3))), "shape"),
        (with_(embeddings=ROWS.astype(complex)), "real numbers"),
        (with_(embeddings=ROWS.astype(str)), "real numbers"),
        (with_(embeddings=None), "no array 'embeddings'"),
        (with_(labels=None), "no array 'labels'"),
        (with_(labels=LABELS[:2]), "one for each of the 3 embeddings"),
        (with_(labels=LABELS[:, None]), "one for each of the 3 embeddings"),
        (with_(labels=np.array([0.5, 1, 2])), "integers or strings"),
        (with_(labels=np.array(["a", None, 1], object)), "Python objects"),
        (with_(is_query=~FALSE), "has is_query but not is_gallery"),
        (with_(is_query=~FALSE, is_gallery=FALSE), "is_gallery is false for every row"),
        (with_(is_query=~FALSE[:2], is_gallery=~FALSE), "is_query must be one for each"),
        (with_(is_query=np.array([0, 1, 2]), is_gallery=~FALSE), "true or false"),
        (with_(paths=np.array(["a"])), "paths"),
    ],
)
def test_refuses_what_is_not_embeddings(
    tmp_path: Path, arrays: dict[str, NDArray[Any]], message: str
) -> None:
    path = tmp_path / "e.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type]  # numpy's own keyword allow_pickle confuses mypy
    with pytest.raises(DataError, match=message) as raised:
        read_embeddings(path)
    assert "\n" not in str(raised.value)
    assert str(path) in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"text", pickle.dumps({"a": 1})])
def test_refuses_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "e.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"not an \.npz"):
        read_embeddings(path)


def test_refuses_a_damaged_archive(tmp_path: Path) -> None:
    path = tmp_path / "e.npz"
    np.savez_compressed(path, embeddings=np.random.default_rng(0).random((50, 50)), labels=np.arange(50))
    whole = path.read_bytes()
    refused = 0
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            read_embeddings(path)
        except DataError:
            refused += 1
    assert refused > len(whole) // 97 * 0.9


def test_refuses_a_path_that_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_embeddings(tmp_path / "none.npz")
    with pytest.raises(DataError, match="is a folder"):
        read_embeddings(tmp_path)
    with pytest.raises(DataError, match="cannot be written"):
        write_embeddings(tmp_path / "none" / "e.npz", EmbeddingsFile(ROWS, LABELS))

from pathlib import Path
from types import SimpleNamespace

import pytest

from indexes import LocalCollection, faiss_build
from tests.indexes.unit_vectors import FINGERPRINT

WITHOUT_GPU_PART = SimpleNamespace()
SEES_NONE = SimpleNamespace(StandardGpuResources=object, get_num_gpus=lambda: 0)
SEES_ONE = SimpleNamespace(StandardGpuResources=object, get_num_gpus=lambda: 1)


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands for the file by which a driver shows itself."""
    path = tmp_path / "version"
    path.touch()
    monkeypatch.setattr(faiss_build, "_DEVICES", (path,))
    monkeypatch.setattr(faiss_build, "_warned", False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return path


@pytest.mark.parametrize(
    ("faiss", "why"),
    [(WITHOUT_GPU_PART, "pip install --force-reinstall --no-deps faiss-gpu"), (SEES_NONE, "nvidia-smi")],
)
def test_a_gpu_that_faiss_cannot_use_is_told_once(
    device: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    faiss: object,
    why: str,
) -> None:
    monkeypatch.setattr(faiss_build, "faiss", faiss)
    LocalCollection.create(tmp_path / "c", embedding_size=4, model_fingerprint=FINGERPRINT).close()
    LocalCollection.open(tmp_path / "c").close()
    assert [why in record.message for record in caplog.records] == [True]


def test_nothing_is_told_where_all_is_well(device: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faiss_build, "faiss", SEES_ONE)
    assert faiss_build.unused_gpu() is None
    monkeypatch.setattr(faiss_build, "faiss", WITHOUT_GPU_PART)
    assert faiss_build.unused_gpu() is not None
    # Hidden on purpose, as from tests.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert faiss_build.unused_gpu() is None
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    device.unlink()
    assert faiss_build.unused_gpu() is None

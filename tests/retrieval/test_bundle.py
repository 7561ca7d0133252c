from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from retrieval.bundle import Bundle, load_bundle, save_bundle
from retrieval.errors import BundleError
from retrieval.networks import EnsembleSpec, HeadSpec, build_ensemble
from retrieval.transforms import Preprocessing

SPEC = EnsembleSpec(
    "resnet18", "B3", (HeadSpec("res4_1", 1, "penultimate+"), HeadSpec("res4_2")), mirror=True
)


def write(folder: Path, *, seed: int = 0, pixels: int = 32, space: str | None = None) -> str:
    torch.manual_seed(seed)
    network = build_ensemble(SPEC, weights=None)
    scores = [{"recall": {"1": 0.5}}]
    return save_bundle(
        folder,
        network,
        Preprocessing(pixels),
        recipe={"name": "t"},
        scores=scores,
        pretraining="none",
        space=space,
    )


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    write(tmp_path / "bundle")
    return tmp_path / "bundle"


def edit(bundle: Path, **changes: object) -> None:
    path = bundle / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_bundle_read_back_gives_the_same_embeddings(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_ensemble(SPEC, weights=None).eval()
    images = torch.rand(2, 3, 32, 32)
    fingerprint = save_bundle(
        tmp_path / "b",
        network,
        Preprocessing(32, 40),
        recipe={"lr": 0.1},
        scores=[{"k": 1}],
        pretraining="none",
    )
    loaded = load_bundle(tmp_path / "b")
    with torch.inference_mode():
        assert torch.equal(loaded.network.embed(images), network.embed(images))
    assert loaded.preprocessing == Preprocessing(32, 40)
    assert (loaded.recipe, loaded.scores, loaded.pretraining) == ({"lr": 0.1}, [{"k": 1}], "none")
    assert loaded.fingerprint == fingerprint
    assert len(fingerprint) == 64
    assert not loaded.network.training


def test_the_fingerprint_tells_weights_and_preprocessing_apart_but_not_recipes(tmp_path: Path) -> None:
    first = write(tmp_path / "a")
    assert write(tmp_path / "b") == first
    assert write(tmp_path / "c", seed=1) != first
    assert write(tmp_path / "d", pixels=48) != first


def test_a_student_says_in_whose_space_it_embeds(tmp_path: Path) -> None:
    own = write(tmp_path / "alone")
    assert "space" not in json.loads((tmp_path / "alone" / "model.json").read_text())
    alone = load_bundle(tmp_path / "alone")
    assert alone.space is None
    assert alone.embeds_for(own)
    assert not alone.embeds_for("b" * 64)

    # The space says what embeddings may be compared with; it changes none of them.
    assert write(tmp_path / "student", space="b" * 64) == own
    student = load_bundle(tmp_path / "student")
    assert student.space == "b" * 64
    assert student.embeds_for(own)
    assert student.embeds_for("b" * 64)
    assert not student.embeds_for("c" * 64)


@pytest.mark.parametrize("space", ["", "teacher", "B" * 64, 7, ["b" * 64]])
def test_a_space_that_is_no_fingerprint_is_damage(bundle: Path, space: object) -> None:
    edit(bundle, space=space)
    with pytest.raises(BundleError, match="space must be a fingerprint") as caught:
        load_bundle(bundle)
    assert "\n" not in str(caught.value)


def test_writing_again_replaces_the_bundle_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write(tmp_path / "b")
    second = write(tmp_path / "b", seed=1)
    assert load_bundle(tmp_path / "b").fingerprint == second
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_folder_of_something_else_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"x")
    with pytest.raises(BundleError, match="something else"):
        write(tmp_path / "photos")
    assert (tmp_path / "photos" / "cat.jpg").exists()


def test_a_bundle_of_another_version_is_refused(bundle: Path) -> None:
    edit(bundle, format_version=99)
    with pytest.raises(BundleError, match="format version 99"):
        load_bundle(bundle)


def test_weights_changed_behind_its_back_are_noticed(bundle: Path, tmp_path: Path) -> None:
    write(tmp_path / "other", seed=1)
    (tmp_path / "other" / "weights.safetensors").rename(bundle / "weights.safetensors")
    with pytest.raises(BundleError, match="changed after it was written"):
        load_bundle(bundle)


@pytest.mark.parametrize("content", [b"", b"not json", b"[1, 2]", b'{"format_version": 1}'])
def test_a_damaged_document_is_one_line(bundle: Path, content: bytes) -> None:
    (bundle / "model.json").write_bytes(content)
    with pytest.raises(BundleError) as caught:
        load_bundle(bundle)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [0, 7, 5000])
def test_truncated_weights_are_one_line(bundle: Path, keep: int) -> None:
    path = bundle / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BundleError, match="damaged") as caught:
        load_bundle(bundle)
    assert "\n" not in str(caught.value)


def test_missing_weights_and_missing_folder(bundle: Path, tmp_path: Path) -> None:
    (bundle / "weights.safetensors").unlink()
    with pytest.raises(BundleError, match="missing"):
        load_bundle(bundle)
    with pytest.raises(BundleError, match="not a model bundle"):
        load_bundle(tmp_path / "nowhere")


def test_of_a_runs_folder_the_bundle_in_it_is_proposed(bundle: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "mine"
    run.mkdir(parents=True)
    bundle.rename(run / "bundle")
    with pytest.raises(BundleError) as caught:
        load_bundle(run)
    assert str(caught.value).endswith(f"give {run / 'bundle'}")
    assert load_bundle(run / "bundle").fingerprint


def test_a_name_gives_the_network_as_imagenet_left_it() -> None:
    loaded: Bundle = load_bundle("single:efficientnet_lite0@64")
    assert loaded.preprocessing.pixels == 64
    assert loaded.embedding_size == 1280
    assert loaded.pretraining == "ImageNet, not fine-tuned"
    assert load_bundle("single:efficientnet_lite0@64").fingerprint == loaded.fingerprint


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("single:vgg", "no backbone 'vgg'"),
        ("single:efficientnet_lite0@huge", "pixels must be"),
        ("single:efficientnet_lite0@4", "pixels must be"),
        ("double:resnet50", "not a model bundle"),
    ],
)
def test_a_wrong_name_says_what_is_wrong(name: str, message: str) -> None:
    with pytest.raises(BundleError, match=message):
        load_bundle(name)

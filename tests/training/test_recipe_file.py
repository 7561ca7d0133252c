"""Recipes as files: one line for every mistake, naming the key and where it stands."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from training.recipe_file import RecipeError, dump_recipe, first_difference, load_recipe, packaged_recipes

TEXT = """\
# a comment
data:
  name: cub200
network:
  preset: hdhe
  share_until: B2
optimiser:
  lr: 1e-3
  block_factors: {1: 0.1, 16: 10}
schedule:
  epochs: 40
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my.yaml"
    path.write_text(TEXT)
    return path


def test_the_file_and_the_overrides_in_order(file: Path) -> None:
    recipe = load_recipe(
        file, ["schedule.epochs=7", "schedule.epochs=8", "validation.holdout=0.2", "optimiser.lr=5e-2"]
    )
    assert recipe.name == "my"
    assert recipe.schedule.epochs == 8
    assert recipe.validation.holdout == 0.2
    assert recipe.optimiser.lr == 0.05  # YAML 1.1 reads 5e-2 as text
    assert recipe.optimiser.block_factors == {1: 0.1, 16: 10.0}


def test_written_out_and_read_back_it_is_equal(file: Path, tmp_path: Path) -> None:
    recipe = load_recipe(
        file, ["network.heads=[{last_block: res4_1, lr: 4}]", f"optimiser.block_factors={[2] + [1] * 13}"]
    )
    copy = tmp_path / "copy.yaml"
    copy.write_text(dump_recipe(recipe))
    assert load_recipe(copy) == recipe
    assert yaml.safe_load(copy.read_text())["schedule"]["drops"] == [0.5], "defaults are written out"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lr: 1e-3", "lr: -1", "optimiser.lr must be > 0; got -1 ({file}, line 8)"),
        ("lr: 1e-3", "lr: fast", "optimiser.lr: should be a valid number"),
        ("lr: 1e-3", "lrr: 1", "optimiser.lrr is not a key of a recipe; did you mean lr? ({file}, line 8)"),
        (
            "schedule:",
            "scheduling:",
            "scheduling is not a key of a recipe; did you mean schedule? ({file}, line 10)",
        ),
        (
            "share_until: B2",
            "share_until: B5",
            "network.share_until must be one of 'B1', 'B2' or 'B3'; got 'B5'",
        ),
        ("preset: hdhe", "preset: finest", "network.preset must be one of single, pruned, hdhe"),
        ("epochs: 40", "epochs: 0", "schedule.epochs must be >= 1; got 0 ({file}, line 11)"),
        ("epochs: 40", "epochs: 4.5", "schedule.epochs: should be a valid integer"),
        ("  name: cub200", "  root: here", "data.name is missing ({file}, line 2)"),
        (
            "epochs: 40",
            "epochs: 40\n  epochs: 50",
            "schedule.epochs is written twice ({file}, lines 11 and 12)",
        ),
        ("epochs: 40", "epochs: [40", "{file} is not YAML"),
        ("{1: 0.1, 16: 10}", "{1: -2}", "optimiser.block_factors.1 must be >= 0; got -2 ({file}, line 9)"),
        ("{1: 0.1, 16: 10}", "[1, slow]", "optimiser.block_factors.1: should be a valid number"),
        ("share_until: B2", "heads: [{last_block: res4_1, width: 3}]", "network.heads.0.width is not a key"),
        (
            "share_until: B2",
            "heads: [{last_block: res4_1, stride: 3}]",
            "network: heads[0].stride must be one of 1, 2; got 3 ({file}, line 4)",
        ),
        ("share_until: B2", "freeze_until: B3", "network: freeze_until B3 reaches into the heads"),
        ("schedule:\n  epochs: 40", "schedule: 40", "schedule: should be a valid dictionary"),
    ],
)
def test_a_mistake_names_its_key_and_line(file: Path, old: str, new: str, message: str) -> None:
    assert old in TEXT
    file.write_text(TEXT.replace(old, new))
    with pytest.raises(RecipeError) as caught:
        load_recipe(file)
    assert message.format(file=file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimiser.lr=-1", "optimiser.lr must be > 0; got -1 (--set optimiser.lr=-1)"),
        ("schedule.warmup_epochs=40", "give --set schedule.warmup_epochs=0, or more epochs"),
        ("schedule.frozen_epochs=99", "give --set schedule.frozen_epochs=0, or more epochs"),
        ("optimizer.lr=1", "optimizer is not a key of a recipe; did you mean optimiser?"),
        ("optimiser.lr", "--set needs key=value"),
        ("=3", "--set needs key=value"),
        ("batch=[", "the value is not YAML"),
    ],
)
def test_a_wrong_override_names_itself(file: Path, override: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(file, [override])
    assert message in str(caught.value)


def test_files_that_are_no_recipes(tmp_path: Path) -> None:
    for content in (b"", b"just words", b"- a\n- b\n", b"\xff\xfe\x00binary", b"a: \x00"):
        path = tmp_path / "bad.yaml"
        path.write_bytes(content)
        with pytest.raises(RecipeError, match=r"bad\.yaml"):
            load_recipe(path)
    with pytest.raises(RecipeError, match="there is no recipe"):
        load_recipe(tmp_path / "absent.yaml")
    with pytest.raises(RecipeError, match="is a folder"):
        load_recipe(tmp_path)


@pytest.mark.parametrize("name", packaged_recipes())
def test_every_packaged_recipe_loads_by_its_name(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name


def test_the_first_difference_that_changes_a_result(file: Path) -> None:
    recipe = load_recipe(file)
    assert first_difference(recipe, load_recipe(file, ["machine.workers=3", "machine.cache_gb=0"])) is None
    changed = load_recipe(file, ["optimiser.lr=2", "seed=5"])
    assert first_difference(recipe, changed) == "seed was 0 and is now 5"


def test_a_folder_named_as_a_packaged_recipe_does_not_stand_in_its_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sample_catalogue").mkdir()
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_recipe("sample_catalogue").name == "sample_catalogue"
    with pytest.raises(RecipeError, match="photos is a folder"):
        load_recipe("photos")


def test_a_file_holds_what_differs_from_the_one_it_is_based_on(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("name: base\n" + TEXT)
    (tmp_path / "middle.yaml").write_text(
        "based_on: base.yaml\noptimiser:\n  lr: 2\n  block_factors: {2: 5}\nnetwork: {heads: [{lr: 3}]}\n"
    )
    (tmp_path / "mine.yaml").write_text("based_on: middle.yaml\nnetwork: {preset: single, share_until: B3}\n")
    recipe = load_recipe(tmp_path / "mine.yaml", ["schedule.epochs=3"])
    assert recipe.name == "mine"
    assert (recipe.data.name, recipe.network.preset, recipe.optimiser.lr) == ("cub200", "single", 2)
    assert recipe.optimiser.block_factors == {1: 0.1, 2: 5.0, 16: 10.0}
    assert recipe.network.heads is not None
    assert [head.lr for head in recipe.network.heads] == [3]
    assert recipe.schedule.epochs == 3


def test_a_packaged_recipe_may_be_built_on(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("based_on: cub200_hdhe\nbatch: 20\n")
    mine, base = load_recipe(tmp_path / "mine.yaml"), load_recipe("cub200_hdhe")
    assert mine == base.model_copy(update={"name": "mine", "batch": 20})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "based_on: mine.yaml",
            "based_on: {folder}/mine.yaml is based on itself ({folder}/mine.yaml, line 1)",
        ),
        (
            "based_on: other.yaml",
            "based_on: {folder}/mine.yaml is based on itself ({folder}/other.yaml, line 2)",
        ),
        ("based_on: gone.yaml", "based_on: there is no recipe gone.yaml"),
        ("based_on: 7", "based_on must be a recipe's name or path; got 7 ({folder}/mine.yaml, line 1)"),
        ("based_on: []", "based_on must be a recipe's name or path; got []"),
        ("based_on: good.yaml\nbatch: 0", "batch must be >= 2; got 0 ({folder}/mine.yaml, line 2)"),
        ("based_on: bad.yaml", "batch must be >= 2; got 1 ({folder}/bad.yaml, line 3)"),
        ("data: {name: a}\nnetwork: {based_on: a}", "network.based_on is not a key of a recipe"),
    ],
)
def test_a_mistake_names_the_file_that_holds_it(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "mine.yaml").write_text(text)
    (tmp_path / "other.yaml").write_text("batch: 8\nbased_on: mine.yaml")
    (tmp_path / "good.yaml").write_text(TEXT)
    (tmp_path / "bad.yaml").write_text("data:\n  name: cub200\nbatch: 1")
    with pytest.raises(RecipeError) as caught:
        load_recipe(tmp_path / "mine.yaml")
    assert message.format(folder=tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)

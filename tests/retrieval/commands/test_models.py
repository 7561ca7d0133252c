import json
from itertools import product

import pytest
import typer
from typer.testing import CliRunner

from retrieval.commands.models import models
from retrieval.errors import NetworkError, UserError
from retrieval.networks import BACKBONES, PRESETS

app = typer.Typer()
app.command()(models)


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_json_is_a_list_of_objects_with_the_published_count() -> None:
    rows = json.loads(run("--json", "--preset", "hdhe", "--backbone", "resnet50"))
    assert [{**row, "gmacs": round(row["gmacs"], 2)} for row in rows] == [
        {
            "preset": "hdhe",
            "backbone": "resnet50",
            "parameters": 32_439_360,
            "gmacs": 8.03,
            "embedding_size": 1024,
        }
    ]


def test_everything_is_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # Some of each, to be quick.
    backbones, presets = ("resnet18", "efficientnet_lite0", "mobilenet_v3_small"), ("single", "hdhe")
    monkeypatch.setattr("retrieval.networks.BACKBONES", backbones)
    monkeypatch.setattr("retrieval.networks.PRESETS", presets)
    rows = json.loads(run("--json"))
    assert [(row["backbone"], row["preset"]) for row in rows] == list(product(backbones, presets))


def test_every_preset_is_listed_on_one_backbone() -> None:
    rows = json.loads(run("--json", "--backbone", "resnet18"))
    assert [(row["backbone"], row["preset"]) for row in rows] == list(product(["resnet18"], PRESETS))


def test_one_preset_is_listed_on_every_backbone() -> None:
    rows = json.loads(run("--json", "--preset", "single"))
    assert [(row["backbone"], row["preset"]) for row in rows] == list(product(BACKBONES, ["single"]))


def test_the_table_says_what_the_json_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.networks.PRESETS", ("single", "pruned", "hdhe"))
    lines = run("--backbone", "efficientnet_lite0").splitlines()
    rows = json.loads(run("--json", "--backbone", "efficientnet_lite0"))
    assert lines[0].split() == ["preset", "backbone", "parameters", "GMACs", "embedding", "pixels"]
    assert [line.split() for line in lines[1:]] == [
        [
            row["preset"],
            "efficientnet_lite0",
            f"{row['parameters']:,}",
            f"{row['gmacs']:.3f}",
            str(row["embedding_size"]),
            "224",
        ]
        for row in rows
    ]


@pytest.mark.parametrize("arguments", [("--preset", "quad"), ("--backbone", "resnet51"), ("--backbone", "")])
def test_unknown_names_are_the_users_mistake(arguments: tuple[str, str]) -> None:
    with pytest.raises(NetworkError, match="must be one of"):
        CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def test_classification_networks_are_listed_with_their_class_layer() -> None:
    rows = json.loads(run("--json", "--classifier", "wrn-16-2"))
    assert [{**row, "gmacs": round(row["gmacs"], 2)} for row in rows] == [
        {
            "classifier": "wrn-16-2",
            "classes": 100,
            "parameters": 703_284,
            "gmacs": 0.1,
            "feature_size": 128,
            "pixels": 32,
        }
    ]
    lines = run("--classifier", "wrn-16-2", "--classes", "10").splitlines()
    assert lines[0].split() == ["classifier", "classes", "parameters", "GMACs", "feature", "pixels"]
    # 90 classes less, each of 128 weights and a bias.
    assert lines[1].split() == ["wrn-16-2", "10", f"{703_284 - 90 * 129:,}", "0.101", "128", "32"]


def test_all_classification_networks_are_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retrieval.networks.CLASSIFIERS", ("wrn-10-1", "cifar-resnet-8", "mobilenet_v1"))
    rows = json.loads(run("--json", "--classifier", "all"))
    assert [(row["classifier"], row["classes"]) for row in rows] == [
        ("wrn-10-1", 100),
        ("cifar-resnet-8", 100),
        ("mobilenet_v1", 1000),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--classifier", "wrn-17-2"), r"must be 6n \+ 4"),
        (("--classifier", "all", "--preset", "hdhe"), "leave out --preset"),
        (("--classes", "10"), "add --classifier"),
    ],
)
def test_options_that_do_not_go_together_are_the_users_mistake(
    arguments: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        CliRunner().invoke(app, list(arguments), catch_exceptions=False)

import json
from itertools import product

import pytest
import typer
from typer.testing import CliRunner

from retrieval.commands.models import models
from retrieval.errors import NetworkError
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
    # Three of the backbones, to be quick.
    backbones = ("resnet18", "efficientnet_lite0", "mobilenet_v3_small")
    monkeypatch.setattr("retrieval.networks.BACKBONES", backbones)
    rows = json.loads(run("--json"))
    assert [(row["backbone"], row["preset"]) for row in rows] == list(product(backbones, PRESETS))


def test_one_preset_is_listed_on_every_backbone() -> None:
    rows = json.loads(run("--json", "--preset", "single"))
    assert [(row["backbone"], row["preset"]) for row in rows] == list(product(BACKBONES, ["single"]))


def test_the_table_says_what_the_json_says() -> None:
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

"""`hdhe models`: what each preset costs on each backbone, and what the classification networks cost."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from retrieval.errors import UserError


def models(
    preset: Annotated[str | None, typer.Option(help="Only this preset.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Only this backbone.")] = None,
    classifier: Annotated[
        str | None,
        typer.Option(
            help="A classification network instead, or `all`: wrn-16-2, cifar-resnet-56, a backbone, ..."
        ),
    ] = None,
    classes: Annotated[
        int | None,
        typer.Option(
            min=1, help="Its classes, by default 100 for images of 32 pixels and 1000 for larger ones."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list and nothing else.")] = False,
) -> None:
    """List presets x backbones: parameters of trunk and heads, GMACs an image, embedding size.

    GMACs are for one view at the backbone's image size; the mirror, which the presets use, doubles them. With
    --classifier, list networks that classify: parameters with the class layer, GMACs an image, feature size.
    """
    if classifier is not None:
        if preset is not None or backbone is not None:
            raise UserError("--classifier lists networks without presets; leave out --preset and --backbone")
        _classifiers(classifier, classes, as_json=as_json)
        return
    if classes is not None:
        raise UserError("--classes is for networks that classify; add --classifier all")
    from retrieval.networks import BACKBONES, PRESETS, cost, preset_spec

    specs = [
        (one_preset, preset_spec(one_preset, one_backbone))
        for one_backbone in ([backbone] if backbone is not None else BACKBONES)
        for one_preset in ([preset] if preset is not None else PRESETS)
    ]
    if not as_json:
        typer.echo(
            f"{'preset':<10}{'backbone':<20}{'parameters':>14}{'GMACs':>10}{'embedding':>11}{'pixels':>8}"
        )
    rows = []
    for name, spec in specs:
        counted = cost(spec)
        if as_json:
            rows.append(
                {
                    "preset": name,
                    "backbone": spec.backbone,
                    "parameters": counted.parameters,
                    "gmacs": round(counted.gmacs, 6),
                    "embedding_size": counted.embedding_size,
                }
            )
        else:
            typer.echo(
                f"{name:<10}{spec.backbone:<20}{counted.parameters:>14,}{counted.gmacs:>10.3f}"
                f"{counted.embedding_size:>11}{counted.pixels:>8}"
            )
    if as_json:
        typer.echo(json.dumps(rows, indent=2))


def _classifiers(name: str, classes: int | None, *, as_json: bool) -> None:
    from retrieval.networks import CLASSIFIERS, classifier_cost

    rows: list[dict[str, Any]] = []
    for one in CLASSIFIERS if name == "all" else (name,):
        counted = classifier_cost(one, classes)
        if not rows and not as_json:
            typer.echo(
                f"{'classifier':<20}{'classes':>8}{'parameters':>14}{'GMACs':>10}{'feature':>11}{'pixels':>8}"
            )
        rows.append({"classifier": one, **asdict(counted), "gmacs": round(counted.gmacs, 6)})
        if not as_json:
            typer.echo(
                f"{one:<20}{counted.classes:>8}{counted.parameters:>14,}{counted.gmacs:>10.3f}"
                f"{counted.feature_size:>11}{counted.pixels:>8}"
            )
    if as_json:
        typer.echo(json.dumps(rows, indent=2))

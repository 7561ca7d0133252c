"""`hdhe models`: what each preset costs on each backbone."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def models(
    preset: Annotated[str | None, typer.Option(help="Only this preset.")] = None,
    backbone: Annotated[str | None, typer.Option(help="Only this backbone.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list and nothing else.")] = False,
) -> None:
    """List presets x backbones: parameters of trunk and heads, GMACs an image, embedding size.

    GMACs are for one view at the backbone's image size; the mirror, which the presets use, doubles them.
    """
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

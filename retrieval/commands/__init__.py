"""The command groups of this package. Modules here import torch and FAISS inside the functions, so that
`hdhe --help` answers at once.
"""

import typer

from retrieval.commands.data import data_app
from retrieval.commands.embed import embed
from retrieval.commands.evaluate import evaluate
from retrieval.commands.explain import explain
from retrieval.commands.export import export
from retrieval.commands.index import build, info
from retrieval.commands.index_care import check, compact, rebuild
from retrieval.commands.index_copies import restore, snapshot
from retrieval.commands.index_switch import reembed, switch
from retrieval.commands.models import models
from retrieval.commands.search import search
from retrieval.commands.whiten import whiten

index_app = typer.Typer(help="Build a searchable collection and look after it.", no_args_is_help=True)
for command in (build, info, check, snapshot, restore, rebuild, compact, reembed, switch):
    index_app.command()(command)


def register(app: typer.Typer) -> None:
    """Add this package's commands to the front door."""
    app.command("models")(models)
    app.add_typer(data_app, name="data")
    app.command("evaluate")(evaluate)
    app.command("embed")(embed)
    app.command("explain")(explain)
    app.command("export")(export)
    app.command("whiten")(whiten)
    app.add_typer(index_app, name="index")
    app.command("search")(search)

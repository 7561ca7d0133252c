"""The command groups of this package. Modules here import torch and FAISS inside the functions, so that
`hdhe --help` answers at once.
"""

import typer

from retrieval.commands.data import data_app
from retrieval.commands.embed import embed
from retrieval.commands.evaluate import evaluate
from retrieval.commands.explain import explain
from retrieval.commands.index import index_app
from retrieval.commands.models import models
from retrieval.commands.search import search


def register(app: typer.Typer) -> None:
    """Add this package's commands to the front door."""
    app.command("models")(models)
    app.add_typer(data_app, name="data")
    app.command("evaluate")(evaluate)
    app.command("embed")(embed)
    app.command("explain")(explain)
    app.add_typer(index_app, name="index")
    app.command("search")(search)

"""The table of backbones. A new one is a family file with its rows, added to the sum below."""

from __future__ import annotations

from retrieval.errors import NetworkError
from retrieval.networks.backbone import Backbone
from retrieval.networks.efficientnet_lite import EFFICIENTNET_LITES
from retrieval.networks.mobilenet import MOBILENETS
from retrieval.networks.mobilenet_v1 import MOBILENET_V1
from retrieval.networks.mobilenet_v2 import MOBILENET_V2
from retrieval.networks.resnet import RESNETS

_ROWS = {row.name: row for row in (*RESNETS, *EFFICIENTNET_LITES, MOBILENET_V1, MOBILENET_V2, *MOBILENETS)}

BACKBONES: tuple[str, ...] = tuple(_ROWS)


def backbone_row(name: str) -> Backbone:
    """The row of a backbone's name. Raises NetworkError for an unknown one."""
    if name not in _ROWS:
        raise NetworkError(f"backbone must be one of {', '.join(BACKBONES)}; got {name!r}")
    return _ROWS[name]

"""The table in the documentation is the table in the code."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from training.losses import LOSSES
from training.sections.loss import LossSection
from training.sections.sampler import SamplerSection

PAGE = (Path(__file__).parents[3] / "docs" / "losses.md").read_text()


def test_every_loss_is_documented_with_its_defaults() -> None:
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in PAGE.splitlines() if "|" in line]
    documented = {row[0].strip("`"): row for row in rows if row[0].startswith("`")}
    assert set(documented) == set(LOSSES)
    for name, (_, kind, _, settings, _, images) in documented.items():
        values = {key: yaml.safe_load(value) for key, value in re.findall(r"`(\w+)` ([^,]+)", settings)}
        if name == "proxy_nca++":
            values = {key: 1 / 9 if value == "1/9" else value for key, value in values.items()}
        row = LOSSES[name]
        assert (kind, values, int(images)) == (row.kind, row.defaults, row.images_per_class)


def test_the_examples_are_valid() -> None:
    examples = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
    assert len(examples) == 2
    for example in examples:
        SamplerSection(**example["sampler"])
        LossSection(**example.get("loss", {}))

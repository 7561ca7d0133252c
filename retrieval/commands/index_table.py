"""What was measured to choose an index, as a table for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrieval.commands.index_facts import readable_bytes

if TYPE_CHECKING:
    from indexes.index_trial import Trial, Tried

_HEAD = (
    "kind",
    "recall@10",
    "ms a query",
    "in batches",
    "bytes an item",
    "built in s",
    "visited",
    "depth",
    "of all",
)


def trial_lines(trial: Trial, items: int) -> list[str]:
    """One line for each kind that was tried, under what was asked for. items: what the collection holds by now."""
    sample = "all of them" if trial.sample == trial.items else f"a sample of {trial.sample:,}"
    rows = [_HEAD, *(_row(each, trial.chosen) for each in trial.tried)]
    widths = [max(len(row[column]) for row in rows if len(row) > 2) for column in range(len(_HEAD))]
    widths[0] = max(len(row[0]) for row in rows)
    lines = [
        f"measured for {trial.items:,} items on {sample}: recall {trial.wanted} of exact search wanted, within "
        f"{readable_bytes(trial.memory)}"
    ]
    for kind, *figures in rows:
        cells = [kind.ljust(widths[0]), *map(str.rjust, figures, widths[1:])]
        lines.append("  ".join(cells).rstrip())
    if not trial.suits(items, trial.wanted, trial.memory):
        lines.append(f"it holds {items:,} now: `hdhe index rebuild --index auto` measures anew")
    return lines


def _row(tried: Tried, chosen: str) -> tuple[str, ...]:
    name = tried.kind + (" *" if tried.kind == chosen else "")
    if tried.reason is not None:
        return name, tried.reason
    return (
        name,
        f"{tried.recall:.4f}",
        f"{tried.milliseconds:.3f}",
        f"{tried.batch_milliseconds:.3f}",
        f"{tried.bytes:,.0f}",
        f"{tried.build_seconds:.1f}",
        str(tried.visited or "-"),
        str(tried.depth),
        "-" if tried.whole_recall is None else f"{tried.whole_recall:.4f}",
    )

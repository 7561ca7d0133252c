"""Time and memory of exact Recall@K beside FAISS's flat search, on data of the size of SOP's test split.

    python benchmarks/recall.py [--items 60502] [--classes 11316] [--size 512] [--rounds 3] [--peer]

The contenders take turns, so that whatever else the machine does falls on all of them; the table shows the median and
the range of the ratios of each round. FAISS only finds 11 neighbours, from which no Recall@1000 and no MAP@R can be
had. --peer adds pytorch-metric-learning's AccuracyCalculator, which needs several gigabytes. The rows lie in clusters
in the positive orthant, as features behind a ReLU do.

NumPy and FAISS read OPENBLAS_CORETYPE: unset it, or both run at the speed of the processor that it names.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import torch
from numpy.typing import NDArray

from retrieval.recall import leave_one_out

KS = (1, 10, 100, 1000)
Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]


def clusters(items: int, classes: int, size: int) -> tuple[Float32, Int64]:
    """Rows of norm 1 and their labels; the spread differs by row, so that easy and hard queries are both there."""
    rng = np.random.default_rng(0)
    labels = np.sort(np.arange(items) % classes)
    centres = rng.standard_normal((classes, size), dtype=np.float32)
    rows = rng.standard_normal((items, size), dtype=np.float32)
    rows *= 0.6 + 1.2 * rng.random((items, 1), dtype=np.float32)
    rows = np.abs(rows + centres[labels])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows, labels


def run_ours(rows: Float32, labels: Int64) -> str:
    """Every score of `hdhe evaluate` with K = 1, 10, 100, 1000."""
    report = leave_one_out(rows, labels, KS)
    return f"R@1 {report.recall[1]:.4f}, R@1000 {report.recall[1000]:.4f}, MAP@R {report.map_at_r:.4f}"


def run_faiss(rows: Float32, labels: Int64) -> str:
    """The 11 nearest of every row, itself among them, and nothing computed from them but Recall@1."""
    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)
    _, found = index.search(rows, 11)
    others = [row[row != i][0] for i, row in enumerate(found)]
    return f"R@1 {(labels[others] == labels).mean():.4f}"


def run_peer(rows: Float32, labels: Int64) -> str:
    """pytorch-metric-learning with what it has of these scores."""
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    calculator = AccuracyCalculator(
        include=("precision_at_1", "mean_average_precision_at_r"),
        k="max_bin_count",
        knn_func=CustomKNN(CosineSimilarity(), batch_size=1024),
        device=torch.device("cpu"),
    )
    scores = calculator.get_accuracy(torch.from_numpy(rows), torch.from_numpy(labels))
    return f"R@1 {scores['precision_at_1']:.4f}, MAP@R {scores['mean_average_precision_at_r']:.4f}"


CONTENDERS: dict[str, Callable[[Float32, Int64], str]] = {
    "hdhe": run_ours,
    "faiss.IndexFlatIP.search(k=11)": run_faiss,
    "pytorch-metric-learning": run_peer,
}


def peak_memory(name: str, rows: Float32, labels: Int64) -> float:
    """MiB that a fresh process takes at its peak beyond what it has once the arrays are loaded. Linux only."""
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "rows.npy", rows)
        np.save(Path(folder) / "labels.npy", labels)
        command = [sys.executable, __file__, "--measure", name, "--folder", folder]
        return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(name: str, folder: Path) -> None:
    """The child process of `peak_memory`: prints MiB."""
    rows, labels = np.load(folder / "rows.npy"), np.load(folder / "labels.npy")
    # One small run first: libraries and thread pools are no part of the question.
    CONTENDERS[name](rows[:2000], labels[:2000] // 4)
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    CONTENDERS[name](rows, labels)
    print((_status("VmHWM") - before) / 1024)


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def machine() -> str:
    """Processor, cores and library versions, for the line above the table."""
    info: dict[str, Any] = dict(torch.cpu.get_capabilities())
    name = info.get("cpu_name", platform.processor())
    bf16 = "with" if info.get("avx512_bf16") or info.get("amx_bf16") else "without"
    return (
        f"{name} {bf16} bfloat16 products, {os.cpu_count()} cores, {torch.get_num_threads()} threads, load "
        f"{os.getloadavg()[0]:.1f}, torch {torch.__version__}, faiss {faiss.__version__}, NumPy {np.__version__}"
    )


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--items", type=int, default=60_502)
    parser.add_argument("--classes", type=int, default=11_316)
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer", action="store_true", help="add pytorch-metric-learning")
    parser.add_argument("--measure", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.folder)
        return
    rows, labels = clusters(options.items, options.classes, options.size)
    names = [name for name in CONTENDERS if options.peer or name != "pytorch-metric-learning"]
    seconds: dict[str, list[float]] = {name: [] for name in names}
    scores = {}
    for name in names:
        CONTENDERS[name](rows[:2000], labels[:2000] // 4)
    for number in range(options.rounds):
        # Every other round backwards: nobody always comes first.
        for name in names if number % 2 == 0 else names[::-1]:
            started = time.perf_counter()
            scores[name] = CONTENDERS[name](rows, labels)
            seconds[name].append(time.perf_counter() - started)
    print(
        f"{options.items} x {options.size}, {options.classes} classes, {options.rounds} rounds; {machine()}\n"
    )
    print(f"{'':<32}{'seconds':>8}   {'ratio to FAISS (range)':<26}{'peak MiB':>8}   scores")
    base = seconds["faiss.IndexFlatIP.search(k=11)"]
    for name in names:
        ratios = [mine / theirs for mine, theirs in zip(seconds[name], base, strict=True)]
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        memory = peak_memory(name, rows, labels)
        print(
            f"{name:<32}{statistics.median(seconds[name]):8.1f}   {ratio:<26}{memory:8.0f}   {scores[name]}"
        )


if __name__ == "__main__":
    main()

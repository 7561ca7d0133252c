"""Time and memory of exact Recall@K beside FAISS's flat search and two libraries, at the size of SOP's test split.

    python benchmarks/recall.py [--items 60502] [--classes 11316] [--sizes 512,1024] [--rounds 5] [--pml] [--oml PYTHON]

`hdhe` computes Recall@{1,10,100,1000}, MAP@R and R-precision. FAISS only finds 11 neighbours, from which no Recall@1000
and no MAP@R can be had. --pml adds pytorch-metric-learning's AccuracyCalculator, which has no Recall@K beyond 1 and
needs several gigabytes; --oml adds open-metric-learning's Recall@K (it calls it CMC@K), by the interpreter of an
environment of its own, because it asks for NumPy 1:
`python -m venv oml && oml/bin/pip install open-metric-learning omegaconf`.

Every run is a process of its own that loads the arrays, warms up on a part of them, and reports seconds and the
greatest memory beyond what it had before (Linux). The contenders take turns, so that whatever else the machine does
falls on all of them; the table shows medians, and the ratio to FAISS within each round with its range. The rows lie in
clusters in the positive orthant, as features behind a ReLU do; --embeddings FILE.npz takes those of `hdhe embed`.

The OpenBLAS in FAISS's wheel takes kernels on some processors that run at a quarter of their speed. So each name in
CORES is tried for it on a part of the rows (OPENBLAS_CORETYPE), and FAISS, and pytorch-metric-learning, which searches
by it, run by the fastest; the table's head says which. `hdhe` runs as its users run it, with none.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

KS = (1, 10, 100, 1000)
FAISS = "faiss.IndexFlatIP.search(k=11)"
PML = "pytorch-metric-learning"
CORES = ("", "Haswell", "SkylakeX", "Cooperlake", "SapphireRapids", "Zen")
TRIED_ON = 10_000
"""Rows, of which FAISS takes a second or two."""
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
    from retrieval.allocator import keep_freed_memory
    from retrieval.recall import leave_one_out

    keep_freed_memory()  # as the front door does
    report = leave_one_out(rows, labels, [k for k in KS if k < len(rows)])
    recalls = ", ".join(f"R@{k} {recall:.4f}" for k, recall in report.recall.items())
    return f"{recalls}, MAP@R {report.map_at_r:.4f}"


def run_faiss(rows: Float32, labels: Int64) -> str:
    """The 11 nearest of every row, itself among them, and nothing computed from them but Recall@1."""
    import faiss

    index = faiss.IndexFlatIP(rows.shape[1])
    index.add(rows)
    _, found = index.search(rows, 11)
    others = [row[row != i][0] for i, row in enumerate(found)]
    return f"R@1 {(labels[others] == labels).mean():.4f}"


def run_pml(rows: Float32, labels: Int64) -> str:
    """What pytorch-metric-learning has of these scores."""
    import torch
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


def run_oml(rows: Float32, labels: Int64) -> str:
    """What open-metric-learning has of them."""
    import torch
    from oml.functional.knn import batched_knn
    from oml.functional.metrics import calc_retrieval_metrics

    everything = torch.arange(len(rows))
    _, retrieved, true = batched_knn(
        torch.from_numpy(rows), everything, everything, top_n=max(KS), labels_gt=torch.from_numpy(labels)
    )
    scores = calc_retrieval_metrics(
        retrieved, true, cmc_top_k=KS, precision_top_k=(), map_top_k=(), verbose=False
    )
    return ", ".join(f"R@{k} {float(recall):.4f}" for k, recall in scores["cmc"].items())


CONTENDERS: dict[str, Callable[[Float32, Int64], str]] = {
    "hdhe": run_ours,
    FAISS: run_faiss,
    PML: run_pml,
    "open-metric-learning": run_oml,
}


def measure(name: str, folder: Path) -> None:
    """The process of one run: prints seconds, MiB and scores as JSON."""
    rows, labels = np.load(folder / "rows.npy"), np.load(folder / "labels.npy")
    # One small run first: libraries and thread pools are no part of the question.
    CONTENDERS[name](rows[:2000], np.arange(min(2000, len(rows))) // 4)
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    started = time.perf_counter()
    scores = CONTENDERS[name](rows, labels)
    seconds = time.perf_counter() - started
    print(json.dumps({"seconds": seconds, "mib": (_status("VmHWM") - before) / 1024, "scores": scores}))


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def run(name: str, folder: Path, python: str, core: str = "") -> dict[str, Any]:
    """One run in a process of its own. core: whose kernels OpenBLAS takes; its own choice by "".

    Raises SystemExit.
    """
    command = [python, __file__, "--measure", name, "--folder", str(folder)]
    environment = {key: value for key, value in os.environ.items() if key != "OPENBLAS_CORETYPE"}
    if core:
        environment["OPENBLAS_CORETYPE"] = core
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{name} failed: {(done.stderr.strip() or str(done.returncode)).splitlines()[-1]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def fastest_core(rows: Float32, labels: Int64, python: str) -> str:
    """The one of CORES by whose kernels FAISS is fastest here; those that this processor cannot run are passed over."""
    seconds: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as home:
        save(Path(home), rows[:TRIED_ON], labels[:TRIED_ON])
        for core in CORES:
            try:
                seconds[core] = min(run(FAISS, Path(home), python, core)["seconds"] for _ in range(3))
            except SystemExit:
                continue
    if "" not in seconds:
        raise SystemExit(f"{FAISS} does not run by {python}")
    best = min(seconds, key=lambda core: seconds[core])
    # Kernels that are as fast as its own choice are its own.
    return best if seconds[best] < 0.95 * seconds[""] else ""


def save(folder: Path, rows: Float32, labels: Int64) -> None:
    """For `measure`."""
    np.save(folder / "rows.npy", rows)
    np.save(folder / "labels.npy", labels)


def compare(rows: Float32, labels: Int64, pythons: dict[str, str], rounds: int) -> None:
    """Let the contenders take turns, and print their table."""
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in pythons}
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        save(folder, rows, labels)
        core = fastest_core(rows, labels, pythons[FAISS])
        for number in range(rounds):
            # Every other round backwards: nobody always comes first.
            for name in list(pythons) if number % 2 == 0 else list(pythons)[::-1]:
                theirs = core if name in (FAISS, PML) else ""
                results[name].append(run(name, folder, pythons[name], theirs))
    classes = len(np.unique(labels))
    size = f"{len(rows):,} x {rows.shape[1]}, {classes:,} classes, the input itself {rows.nbytes >> 20} MiB"
    print(f"\n{size}; FAISS by OpenBLAS's kernels for {core or 'the processor that it sees'}")
    print(f"{'':<32}{'seconds':>8}   {'ratio to FAISS (range)':<24}{'MiB more':>8}   scores")
    for name, mine in results.items():
        ratios = [a["seconds"] / b["seconds"] for a, b in zip(mine, results[FAISS], strict=True)]
        ratio = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        seconds = statistics.median(each["seconds"] for each in mine)
        memory = statistics.median(each["mib"] for each in mine)
        print(f"{name:<32}{seconds:8.1f}   {ratio:<24}{memory:8.0f}   {mine[-1]['scores']}", flush=True)


def main() -> None:
    """A table for each size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=60_502)
    parser.add_argument("--classes", type=int, default=11_316)
    parser.add_argument("--sizes", default="512,1024")
    parser.add_argument("--embeddings", type=Path, help="an .npz with embeddings[n, d] and labels[n]")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pml", action="store_true", help="add pytorch-metric-learning")
    parser.add_argument("--oml", metavar="PYTHON", help="add open-metric-learning, by this interpreter")
    parser.add_argument("--measure", choices=CONTENDERS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure, options.folder)
        return
    from benchmarks.shared.machine import machine

    pythons = {"hdhe": sys.executable, FAISS: sys.executable}
    if options.pml:
        pythons[PML] = sys.executable
    if options.oml:
        pythons["open-metric-learning"] = options.oml
    print(machine("torch", "faiss", "numpy", "pytorch-metric-learning") + f"; {options.rounds} rounds")
    if options.embeddings is not None:
        with np.load(options.embeddings) as file:
            rows = np.ascontiguousarray(file["embeddings"], np.float32)
            labels = np.unique(file["labels"], return_inverse=True)[1].astype(np.int64)
        compare(rows, labels, pythons, options.rounds)
        return
    for size in map(int, options.sizes.split(",")):
        compare(*clusters(options.items, options.classes, size), pythons, options.rounds)


if __name__ == "__main__":
    main()

"""What embedding takes: each engine, end to end, beside the libraries by themselves, in the same run.

    python benchmarks/engines.py [--backbone resnet50] [--pixels 224] [--batch 8] [--batches 8] [--rounds 5]
                                 [--side 500] [--skip NAME,NAME]

1. One network, one view: `Embedder` from arrays by each engine; OpenVINO by itself (the same backbone as a graph of one
   fixed size, its input normalised beforehand, in bfloat16 where the processor has it); torch eager in float32, in its
   own layout and in channels_last.
2. What two heads and the mirrored view cost: `hdhe` against `single`, without and with the mirrored view.
3. From JPEG files of `--side` pixels against from arrays.

Weights are random: what they are changes no time. The contenders take turns, every other round backwards, and the first
round warms up; the tables show medians over rounds, and of ratios the median and range of those within a round. All use
as many threads as torch (HDHE_THREADS or OMP_NUM_THREADS), and memory as the front door does (docs/architecture.md). On
a machine that does other work too, look at no figure.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from benchmarks.shared.machine import machine
from retrieval.allocator import keep_freed_memory
from retrieval.bundle import Bundle, load_bundle, save_bundle
from retrieval.datasets.pottery import design_vase, photograph
from retrieval.embedder import Embedder
from retrieval.engines import openvino_engine, quiet_imports
from retrieval.engines.agreement import sample_images
from retrieval.engines.engine import open_exported
from retrieval.engines.export import export
from retrieval.engines.int8 import quantised
from retrieval.engines.torch_engine import can_bfloat16
from retrieval.errors import UserError
from retrieval.networks import build_ensemble, preset_spec
from retrieval.transforms import Preprocessing

Run = Callable[[], object]

RAW, EAGER, CHANNELS_LAST = "raw OpenVINO", "torch eager", "torch eager, channels_last"


def model(folder: Path, preset: str, options: argparse.Namespace, *, mirror: bool) -> Bundle:
    """A bundle with random weights."""
    torch.manual_seed(0)
    network = build_ensemble(replace(preset_spec(preset, options.backbone), mirror=mirror), weights=None)
    name = f"{preset}-{'mirror' if mirror else 'plain'}"
    save_bundle(
        folder / name, network, Preprocessing(options.pixels), recipe={}, scores=[], pretraining="none"
    )
    return load_bundle(folder / name)


def exported(bundle: Bundle, engine: str, batch: int) -> Embedder:
    """The embedder of an engine that has to be exported first. 8 bits are not held to recall here, which random weights
    have none of.
    """
    images = sample_images(bundle, batch)
    if engine != "openvino-int8":
        export(bundle, engine, images, images_of="the sample catalogue")
        return Embedder(bundle, engine=engine, batch_size=batch)
    assert bundle.folder is not None
    folder = bundle.folder / engine
    folder.mkdir()
    openvino_engine.save(quantised(openvino_engine.read(bundle, folder), images), folder)
    return Embedder(bundle, engine=open_exported(engine, folder), batch_size=batch)


def raw_openvino(bundle: Bundle, folder: Path, batch: NDArray[np.float32], batches: int) -> Run:
    """What one would write without this project: float32[n, 3, p, p] in, features out, in one fixed size."""
    openvino = quiet_imports.openvino()
    with torch.no_grad():
        program = torch.onnx.export(
            bundle.network.cpu(), (torch.from_numpy(batch),), dynamo=True, verbose=False
        )
    assert program is not None
    program.save(folder / "raw.onnx")
    # Without instructions for bfloat16 it would be emulated, at a fifth of the speed.
    native = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    settings = {"INFERENCE_PRECISION_HINT": "bf16" if native else "f32", "PERFORMANCE_HINT": "LATENCY"}
    settings["INFERENCE_NUM_THREADS"] = str(torch.get_num_threads())
    compiled: Any = openvino.compile_model(folder / "raw.onnx", "CPU", settings)
    return lambda: [compiled(batch)[0] for _ in range(batches)]


def eager(bundle: Bundle, batch: NDArray[np.float32], batches: int, layout: torch.memory_format) -> Run:
    """The network in inference mode, nothing else."""
    network = bundle.network.cpu().to(memory_format=layout)
    images = torch.from_numpy(batch).contiguous(memory_format=layout)

    def run() -> None:
        with torch.inference_mode():
            for _ in range(batches):
                network(images)

    return run


def rounds(contenders: dict[str, Run], count: int) -> dict[str, list[float]]:
    """Seconds of each contender in each round but the first."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(count + 1):
        order = list(contenders.items())
        for name, run in order if number % 2 == 0 else order[::-1]:
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return {name: taken[1:] for name, taken in seconds.items()}


def ratio(first: list[float], second: list[float]) -> str:
    """Of the first's time to the second's, median and range over the rounds."""
    ratios = [a / b for a, b in zip(first, second, strict=True)]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def table(seconds: dict[str, list[float]], images: int, bases: list[str]) -> None:
    """Milliseconds for an image, and how many times faster than each base."""
    print("| | ms an image (range) | " + " | ".join(f"times the rate of {base}" for base in bases) + " |")
    print("|---" * (2 + len(bases)) + "|")
    for name, taken in seconds.items():
        each = sorted(1000 * value / images for value in taken)
        cells = [f"{statistics.median(each):.2f} ({each[0]:.2f} to {each[-1]:.2f})"]
        cells += [ratio(seconds[base], taken) for base in bases]
        print(f"| {name} | " + " | ".join(cells) + " |")
    print()


def embed_files(embedder: Embedder, paths: list[Path]) -> Run:
    """Decoding included."""
    return lambda: embedder.embed(paths)


def jpeg_photos(count: int, side: int) -> Iterator[bytes]:
    """Photos of the sample catalogue as JPEG files of this many pixels a side."""
    for number in range(count):
        photo = photograph(design_vase(0, number % 8), np.random.default_rng(number), min(side, 512)).image
        buffer = io.BytesIO()
        photo.resize((side, side), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        yield buffer.getvalue()


def main() -> None:
    """Make the models, take turns, print."""
    keep_freed_memory()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--pixels", type=int, default=224)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--batches", type=int, default=8, help="that each contender embeds in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--side", type=int, default=500, help="of the JPEG files")
    parser.add_argument("--skip", default="", help="engines to leave out, between commas")
    options = parser.parse_args()
    engines = [name for name in ("openvino", "openvino-int8", "onnx") if name not in options.skip.split(",")]
    count = options.batch * options.batches

    print(machine("torch", "openvino", "nncf", "onnxruntime", "pillow"), end="")
    print(f", {torch.get_num_threads()} threads\n")
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        single = model(folder, "single", options, mirror=False)
        one_batch = sample_images(single, options.batch)
        arrays = np.concatenate([one_batch] * options.batches)
        floats = np.ascontiguousarray(single.preprocessing.normalise(one_batch).numpy())
        embedders: dict[str, Embedder] = {}
        for name in engines:
            try:
                embedders[name] = exported(single, name, options.batch)
            except UserError as error:
                print(f"{name} is left out: {error}")
        for name in ("torch", "torch-bf16") if can_bfloat16() else ("torch",):
            embedders[name] = Embedder(load_bundle(str(single.folder)), engine=name, batch_size=options.batch)

        def embed(embedder: Embedder) -> Run:
            return lambda: embedder.embed_prepared(arrays)

        contenders = {f"Embedder, {name}": embed(embedder) for name, embedder in embedders.items()}
        bare = {layout: load_bundle(str(single.folder)) for layout in (EAGER, CHANNELS_LAST)}
        contenders[EAGER] = eager(bare[EAGER], floats, options.batches, torch.contiguous_format)
        contenders[CHANNELS_LAST] = eager(bare[CHANNELS_LAST], floats, options.batches, torch.channels_last)
        bases = [EAGER, CHANNELS_LAST]
        if "openvino" in embedders:
            contenders[RAW] = raw_openvino(single, folder, floats, options.batches)
            bases.insert(0, RAW)
        print(
            f"single of {options.backbone}, one view, {options.pixels} pixels, batches of {options.batch}\n"
        )
        table(rounds(contenders, options.rounds), count, bases)

        best = "openvino" if "openvino" in embedders else "torch"
        views = {"single": embedders[best]}
        for preset, mirror in (("hdhe", False), ("single", True), ("hdhe", True)):
            bundle = model(folder, preset, options, mirror=mirror)
            made = exported(bundle, best, options.batch) if best == "openvino" else Embedder(bundle)
            views[f"{preset}, mirror" if mirror else preset] = made
        print(f"what heads and views cost, by {best}\n")
        seconds = rounds({name: embed(embedder) for name, embedder in views.items()}, options.rounds)
        for name, taken in seconds.items():
            milliseconds = 1000 * statistics.median(taken) / count
            print(
                f"{name:<16}{milliseconds:9.2f} ms an image, {ratio(taken, seconds['single'])} times single"
            )

        paths = []
        for number, content in enumerate(jpeg_photos(count, options.side)):
            paths.append(folder / f"{number}.jpg")
            paths[-1].write_bytes(content)
        print(f"\n{count} JPEG files of {options.side} x {options.side} pixels against arrays\n")
        for name, embedder in embedders.items():
            seconds = rounds(
                {"files": embed_files(embedder, paths), "arrays": embed(embedder)}, options.rounds
            )
            rate = ratio(seconds["arrays"], seconds["files"])
            print(f"{name:<16}from files at {rate} of the rate from arrays")


if __name__ == "__main__":
    main()

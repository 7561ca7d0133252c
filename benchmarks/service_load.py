"""The service under load, beside the library that it is made of, in the same run.

    python benchmarks/service_load.py [--images DIR] [--model MODEL] [--seconds 60] [--clients 32] [--batch 16]
        [--times 10]

1. The engine alone: `Embedder.embed` over the same files (decoding ahead in threads, embedding in batches of the same
   size), before and after the service's turn. Throughput of the service with so many clients, each of which asks again
   as soon as it is answered, as a share of the engine's.
2. One client: what a search takes beyond decode + embed + search, as the service itself has measured these.
3. Overload: so many times the throughput of 1 comes in, evenly and whatever the answers are. What is answered, and how;
   how long the accepted take; the server's memory; and how soon it is itself again.

The images are those of a folder, or else the sample catalogue; half of them fill the collection, all are queries. The
service is `hdhe serve` in a process of its own, the clients share the machine with it. On a machine that does other
work too, the shares are still of use and the times are not: the load is printed beside them.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.shared.machine import machine
from retrieval.allocator import keep_freed_memory
from retrieval.bundle import load_bundle
from retrieval.datasets.folder import images_in
from retrieval.datasets.sample_catalogue import render
from retrieval.embedder import Embedder
from retrieval.gallery import GalleryImage, create_gallery

BOUNDARY = "photo"
HOST = "127.0.0.1"
MOST_CONNECTIONS = 512
WARM_UP_SECONDS = 3
RECOVERY_SECONDS = 15


@dataclass
class Answers:
    """What came back. seconds: of each that was accepted; stages: of each, in milliseconds, as the service says."""

    seconds: list[float] = field(default_factory=list)
    stages: list[dict[str, float]] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)

    def percentile(self, share: float) -> float:
        """Milliseconds within which this share of the accepted was answered."""
        return float(np.percentile(self.seconds, 100 * share)) * 1000 if self.seconds else float("nan")

    def times(self) -> str:
        """What the accepted took, in words."""
        p50, p99, worst = (self.percentile(share) for share in (0.5, 0.99, 1))
        return f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, worst {worst:.0f} ms"


class Connection:
    """One connection that is kept, and as little work for each request as possible: the client is not measured."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes, answers: Answers) -> None:
        """Send a request and note its answer. A connection that breaks is a status of its own, unless it is a kept one
        that the server has just closed for being idle: then another is opened, as clients do (RFC 9112, 9.3.1).
        """
        started = time.perf_counter()
        was_kept = self._streams is not None
        try:
            if self._streams is None:
                self._streams = await asyncio.open_connection(HOST, self._port)
            reader, writer = self._streams
            writer.write(request)
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (ConnectionResetError, asyncio.IncompleteReadError) as error:
                has_begun = isinstance(error, asyncio.IncompleteReadError) and error.partial
                if not was_kept or has_begun:
                    raise
                self.close()
                reader, writer = self._streams = await asyncio.open_connection(HOST, self._port)
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            body = await reader.readexactly(int(length[1])) if length else b""
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            answers.statuses[type(error).__name__] += 1
            return
        status = head[9:12].decode()
        answers.statuses[status] += 1
        if status == "200":
            answers.seconds.append(time.perf_counter() - started)
            stages = re.search(rb'"took_ms":\{([^}]*)\}', body)
            parts = stages[1].decode().replace('"', "").split(",") if stages else []
            answers.stages.append(
                {name: float(ms) for name, _, ms in (part.partition(":") for part in parts)}
            )

    def close(self) -> None:
        """Let go of it; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def closed_loop(port: int, requests: Iterator[bytes], clients: int, seconds: float) -> Answers:
    """So many clients, each asking again as soon as it is answered."""
    answers, end = Answers(), time.perf_counter() + seconds

    async def client() -> None:
        connection = Connection(port)
        while time.perf_counter() < end:
            await connection.ask(next(requests), answers)
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return answers


async def open_loop(port: int, requests: Iterator[bytes], rate: float, seconds: float) -> Answers:
    """So many requests a second, whatever becomes of those before; at most MOST_CONNECTIONS at a time."""
    answers, idle = Answers(), [Connection(port) for _ in range(MOST_CONNECTIONS)]
    asked: set[asyncio.Task[None]] = set()

    async def ask(connection: Connection) -> None:
        await connection.ask(next(requests), answers)
        idle.append(connection)

    started = time.perf_counter()
    for number in itertools.count():
        due = started + number / rate
        if due > started + seconds:
            break
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        if not idle:
            answers.statuses["no connection left"] += 1
            continue
        task = asyncio.create_task(ask(idle.pop()))
        asked.add(task)
        task.add_done_callback(asked.discard)
    await asyncio.gather(*asked)
    for connection in idle:
        connection.close()
    return answers


async def sampled_memory(pid: int, every: float, found: list[float]) -> None:
    """Append the process's resident memory in MiB, for ever; nothing where there is no /proc."""
    status = Path(f"/proc/{pid}/status")
    while status.exists():
        resident = re.search(r"VmRSS:\s*(\d+)", status.read_text())
        found.append(int(resident[1]) / 1024 if resident else float("nan"))
        await asyncio.sleep(every)


def search_request(image: bytes) -> bytes:
    """POST /v1/search of an image, k = 10, as it goes over the wire."""
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="q"\r\n\r\n'.encode()
    body = part + image + f"\r\n--{BOUNDARY}--\r\n".encode()
    head = (
        f"POST /v1/search HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
    )
    return head.encode() + body


def engine_rate(embedder: Embedder, images: Sequence[bytes], seconds: float) -> float:
    """Images a second, from file contents to embeddings, by the library alone."""
    embedder.embed(images[:64])
    done, started = 0, time.perf_counter()
    while (spent := time.perf_counter() - started) < seconds:
        done += len(embedder.embed(images[:256]))
    return done / spent


def served(folder: Path, batch: int) -> tuple[subprocess.Popen[str], int]:
    """`hdhe serve` over a collection, once it is ready, and its port."""
    command = [sys.executable, "-m", "hdhe", "serve", "--collection", str(folder), "--port", "0"]
    environment = {**os.environ, "HDHE_BATCH_IMAGES": str(batch)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    for line in process.stdout:
        if address := re.search(r"the page is at http://[^:]+:(\d+)", line):
            break
    else:
        raise SystemExit("the service did not start")
    # Read on, so that the log of requests never fills the pipe.
    subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
    return process, int(address[1])


async def measure(options: argparse.Namespace, embedder: Embedder, images: list[bytes], folder: Path) -> None:
    """Run the three parts and print."""
    requests = itertools.cycle([search_request(image) for image in images])
    engine = [engine_rate(embedder, images, options.seconds / 2)]
    process, port = served(folder, options.batch)
    try:
        await closed_loop(port, requests, options.clients, WARM_UP_SECONDS)
        many = await closed_loop(port, requests, options.clients, options.seconds)
        one = await closed_loop(port, requests, 1, options.seconds / 4)
        engine.append(engine_rate(embedder, images, options.seconds / 2))
        alone, rate = statistics.mean(engine), len(many.seconds) / options.seconds
        say("engine alone", f"{alone:.1f} images/s (before {engine[0]:.1f}, after {engine[1]:.1f})")
        say(f"{options.clients} clients", f"{rate:.1f} searches/s, {rate / alone:.3f} of the engine")
        say("", f"{many.times()}; {dict(many.statuses)}")
        beyond = [
            1000 * seconds - sum(stages[name] for name in ("decode", "embed", "search"))
            for seconds, stages in zip(one.seconds, one.stages, strict=True)
        ]
        say("one client", one.times())
        median, high = np.percentile(beyond, (50, 95))
        say("", f"beyond decode, embed and search: p50 {median:.2f} ms, p95 {high:.2f} ms")
        await overload(options, process.pid, port, requests, rate, one.percentile(0.5))
    finally:
        process.terminate()
        say("stopped", f"exit code {process.wait(30)}")


async def overload(
    options: argparse.Namespace, pid: int, port: int, requests: Iterator[bytes], rate: float, usual_ms: float
) -> None:
    """Part 3. rate: searches a second that it can do; usual_ms: what one takes at rest."""
    memory: list[float] = []
    sampling = asyncio.create_task(sampled_memory(pid, 0.25, memory))
    started = time.perf_counter()
    answers = await open_loop(port, requests, options.times * rate, options.seconds)
    recovered, stopped = float("nan"), time.perf_counter()
    sampling.cancel()
    while math.isnan(recovered) and time.perf_counter() - stopped < RECOVERY_SECONDS:
        probe = await closed_loop(port, requests, 1, 0.001)
        if probe.seconds and probe.percentile(0) < 2 * usual_ms:
            recovered = time.perf_counter() - stopped
    offered = sum(answers.statuses.values()) / options.seconds
    say(f"{options.times:g} times as much", f"{offered:.1f} searches/s offered: {dict(answers.statuses)}")
    # Until the last is answered, which is after the last was asked.
    accepted = len(answers.seconds) / (stopped - started)
    say("accepted", f"{accepted:.1f} searches/s; {answers.times()}")
    thirds = [f"{statistics.mean(part):.0f}" for part in np.array_split(memory, 3) if len(part)]
    if thirds:
        say("memory", f"{max(memory):.0f} MiB at most; mean of each third {', '.join(thirds)}")
    say("at rest again", f"after {recovered:.2f} s")


def say(name: str, text: str) -> None:
    """One line of the result."""
    print(f"{name:20}{text}", flush=True)


def main() -> None:
    """Fill a collection, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--images", type=Path, help="a folder of images, at any depth; else the sample catalogue"
    )
    parser.add_argument(
        "--model", default="hdhe:efficientnet_lite0@128", help="a bundle, or PRESET:BACKBONE@PIXELS"
    )
    parser.add_argument("--items", type=int, default=1024, help="images that are used, at most")
    parser.add_argument("--seconds", type=float, default=60, help="of each part")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument(
        "--batch", type=int, default=16, help="images in a batch, of the engine and of the service"
    )
    parser.add_argument("--times", type=float, default=10, help="overload, in multiples of the throughput")
    options = parser.parse_args()
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as home:
        source = options.images or render(Path(home) / "images", classes=20)
        paths = images_in(source)
        paths = paths[:: max(1, len(paths) // options.items)][: options.items]
        bundle = load_bundle(options.model)
        with create_gallery(Path(home) / "collection", bundle) as gallery:
            chosen = [GalleryImage(str(number), path) for number, path in enumerate(paths[::2])]
            stored = sum(1 for _ in gallery.add(chosen, on_error=lambda _, error: print(error)))
        images = [path.read_bytes() for path in paths]
        size = statistics.mean(map(len, images)) / 1024
        say("queries", f"{len(images)} files of {size:.0f} KiB on average; {stored} items")
        say("model", f"{options.model}, {bundle.preprocessing.pixels} pixels")
        say("machine", machine("torch", "faiss", "uvicorn", "h11"))
        asyncio.run(
            measure(options, Embedder(bundle, batch_size=options.batch), images, Path(home) / "collection")
        )


if __name__ == "__main__":
    main()

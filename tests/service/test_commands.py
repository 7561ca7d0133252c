"""`hdhe serve` as a process of its own, over a real model and real files."""

from __future__ import annotations

import io
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image, ImageDraw

from retrieval.bundle import load_bundle
from retrieval.gallery import GalleryImage, create_gallery, open_gallery
from tests.service.served_process import client_of, serve


def drawing(kind: str, shade: int) -> bytes:
    image = Image.new("RGB", (96, 96), (shade, shade, 220))
    draw = ImageDraw.Draw(image)
    match kind:
        case "disc":
            draw.ellipse((20 + shade // 20, 20, 80, 80), fill=(200, 60, 40))
        case "stripes":
            for x in range(shade // 20, 96, 16):
                draw.rectangle((x, 0, x + 6, 96), fill=(40, 120, 60))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "collection"
    with create_gallery(folder, load_bundle("single:efficientnet_lite0")) as gallery:
        images = [
            GalleryImage(f"{kind}/{shade}", drawing(kind, shade), kind)
            for kind in ("disc", "stripes")
            for shade in (40, 120, 200)
        ]
        assert len(list(gallery.add(images, on_error=lambda *error: pytest.fail(str(error))))) == 6
    return folder


@pytest.fixture
def served(collection: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    process = serve("--collection", str(collection), "--port", "0")
    try:
        with client_of(process) as client:
            yield process, client
    finally:
        process.kill()
        process.communicate()


def test_a_real_model_is_served_and_stops_when_asked(
    served: tuple[subprocess.Popen[str], httpx.Client], collection: Path
) -> None:
    process, client = served
    query = {"image": drawing("disc", 80)}
    hits = client.post("/v1/search", files=query, data={"k": "3"}).json()["hits"]
    assert [hit["label"] for hit in hits] == ["disc"] * 3
    assert hits[0]["score"] > hits[-1]["score"] > 0.5

    # What the service embeds is what the command line embeds.
    (served_vector,) = client.post("/v1/embeddings", files=query).json()["embeddings"]
    with open_gallery(collection, read_only=True) as gallery:
        np.testing.assert_allclose(served_vector, gallery.embedder.embed([query["image"]])[0], atol=1e-4)

    # A slash in the path of a real server, which decodes the path before the application sees it.
    assert client.put("/v1/items/new%2Fimage", files=query, data={"label": "disc"}).status_code == 201
    assert client.get("/v1/items/new%2Fimage/image").headers["content-type"] == "image/jpeg"
    assert client.get("/v1/recall?k=1").json()["recall"]["1"] == 1.0
    too_large = client.put("/v1/items/large", files={"image": b"x" * (21 << 20)})
    assert too_large.status_code == 413
    # A web socket would come in beside the keys and the limits, which are for HTTP.
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert client.get("/web/app.js", headers=handshake).status_code == 200

    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "Traceback" not in output + errors
    with open_gallery(collection) as gallery:
        assert gallery.collection.count() == 7
        gallery.collection.delete(["new/image"])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--collection", "{tmp}/missing", "--port", "0"], "missing is not a collection"),
        (["--collection", "{collection}", "--port", "{taken}"], "cannot listen on 127.0.0.1"),
        (["--collection", "{collection}", "--host", "no.such.host.invalid"], "cannot listen on no.such.host"),
        (
            ["--collection", "{collection}", "--port", "0", "--query-model", "single:efficientnet_lite0@64"],
            "the query model single:efficientnet_lite0@64 embeds in its own space",
        ),
        (
            ["--collection", "{collection}", "--port", "0", "--engine", "onnx"],
            "hdhe export --model {collection}/model --engine onnx",
        ),
        (["--collection", "{collection}", "--port", "0", "--host", "0.0.0.0"], "hdhe keys create"),
        (["--collection", "{collection}", "--port", "0", "--keys", "{collection}"], "cannot be read"),
        ([], "--collection"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    collection: Path, tmp_path: Path, arguments: list[str], named: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        values = {"tmp": tmp_path, "collection": collection, "taken": taken.getsockname()[1]}
        process = serve(*(argument.format(**values) for argument in arguments))
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert len(errors.splitlines()) == 1, errors
    assert errors.startswith("hdhe: ")
    assert named.format(**values) in errors

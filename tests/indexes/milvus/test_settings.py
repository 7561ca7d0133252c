import json
from pathlib import Path

import pytest

from indexes.errors import CollectionError
from indexes.milvus.index_choice import KINDS
from indexes.milvus.settings import (
    FILE_NAME,
    MilvusSettings,
    lives_in_milvus,
    read_settings,
    settings_of,
    token,
    write_settings,
)

URI = "http://milvus.example:19530"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HDHE_MILVUS_URI", "HDHE_MILVUS_TOKEN", "HDHE_MILVUS_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)


def test_options_become_typed_settings() -> None:
    settings = settings_of(
        URI,
        "shop",
        ["replicas=2", "index=GPU_CAGRA", "build.graph_degree=32", "search.itopk_size=128", "timeout=2.5"],
    )
    assert settings == MilvusSettings(
        uri=URI,
        collection="shop",
        index="GPU_CAGRA",
        build={"graph_degree": 32},
        search={"itopk_size": 128},
        replicas=2,
        timeout=2.5,
    )
    assert settings_of(URI, "shop", ["collection=other", "build.cache=true"]).build == {"cache": True}
    assert not settings.lite
    assert settings_of("milvus.db", "shop").lite


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["replica=2"], "'replica=2' is no option of Milvus.*replicas"),
        (["replicas"], "KEY=VALUE"),
        (["replicas=two"], "replicas must be a number; got 'two'"),
        (["replicas=0"], "replicas must be 1 to 100; got 0"),
        (["index=IVF"], "index must be one of AUTOINDEX, FLAT"),
        (["consistency=strong"], "consistency must be one of Strong"),
        (["collection=1st"], "'1st' is no name in Milvus"),
        (["timeout=nan"], "timeout must be 1 to 3600"),
        (["uri=x"], "is no option"),
        (["build.=3"], "is no option"),
    ],
)
def test_wrong_options_are_named(options: list[str], message: str) -> None:
    with pytest.raises(CollectionError, match=message):
        settings_of(URI, "shop", options)


@pytest.mark.parametrize(
    "uri", ["", "milvus:19530", "ftp://x", "http://", "http://a:b@c:1", "https://u@c", "x.sqlite"]
)
def test_wrong_uris_are_refused(uri: str) -> None:
    with pytest.raises(CollectionError):
        MilvusSettings(uri=uri, collection="shop")


def test_the_file_gives_back_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not lives_in_milvus(tmp_path)
    settings = settings_of(URI, "shop", ["index=HNSW", "build.M=30", "partitions=16", "exact_up_to=0"])
    write_settings(tmp_path, settings)
    assert lives_in_milvus(tmp_path)
    assert read_settings(tmp_path) == settings
    monkeypatch.setenv("HDHE_MILVUS_URI", "http://localhost:1")
    assert read_settings(tmp_path).uri == "http://localhost:1"
    assert json.loads((tmp_path / FILE_NAME).read_text())["uri"] == URI


def test_a_lite_file_is_found_from_the_folder(tmp_path: Path) -> None:
    write_settings(tmp_path, settings_of("milvus.db", "shop"))
    assert read_settings(tmp_path).uri == str(tmp_path / "milvus.db")
    write_settings(tmp_path, settings_of("/data/shop.db", "shop"))
    assert read_settings(tmp_path).uri == "/data/shop.db"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"format": 1}',
        '{"format": 1, "uri": 3, "collection": "a"}',
        '{"format": 1, "new": 2}',
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(CollectionError, match=FILE_NAME):
        read_settings(tmp_path)


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text('{"format": 2}')
    with pytest.raises(CollectionError, match="upgrade hdhe"):
        read_settings(tmp_path)


def test_the_token_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert token() == ""
    monkeypatch.setenv("HDHE_MILVUS_TOKEN", "user:secret")
    assert token() == "user:secret"
    (tmp_path / "token").write_text("root:other\n")
    monkeypatch.setenv("HDHE_MILVUS_TOKEN_FILE", str(tmp_path / "token"))
    assert token() == "root:other"
    monkeypatch.setenv("HDHE_MILVUS_TOKEN_FILE", str(tmp_path / "none"))
    with pytest.raises(CollectionError, match="HDHE_MILVUS_TOKEN_FILE"):
        token()


def test_no_setting_holds_a_token() -> None:
    # `repr` is what ends up in a log.
    assert "token" not in repr(MilvusSettings(uri=URI, collection="shop"))


def test_only_kinds_that_miss_nothing_are_called_exact() -> None:
    assert [name for name, kind in KINDS.items() if kind.exact] == ["FLAT", "GPU_BRUTE_FORCE"]
    assert all(kind.on_gpu == name.startswith("GPU_") for name, kind in KINDS.items())

"""The files for containers and monitoring, as far as they can be checked without an engine to run them.

They have also been checked by hand: docker-compose.yml with `docker-compose config` and against the schema of the
Compose specification, monitoring/ with `promtool check`. No container has been run.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from service.observability.stages import StageTimes
from service.observability.telemetry import Telemetry
from service.security.access import PUBLIC
from service.settings import Settings

ROOT = Path(__file__).parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
DASHBOARD: dict[str, Any] = json.loads((ROOT / "monitoring" / "grafana" / "hdhe.json").read_text())
ALERTS: dict[str, Any] = yaml.safe_load((ROOT / "monitoring" / "alerts.yml").read_text())


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_may_do_little(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert not {"privileged", "network_mode", "pid", "ipc", "cap_add"} & set(service)
    assert service["read_only"] is (name != "milvus")
    assert not any("docker.sock" in volume for volume in service["volumes"])
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:"), f"{name} listens to others on {port}"


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_says_whether_it_is_well(name: str) -> None:
    if "build" in SERVICES[name]:
        assert re.search(r"^HEALTHCHECK .*(\\\n.*)*/readyz", DOCKERFILE, re.MULTILINE)
    else:
        assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", SERVICES)
def test_images_of_others_are_named_by_version(name: str) -> None:
    if "build" not in SERVICES[name]:
        assert re.search(r":(v?\d+\.\d+\.\d+|RELEASE\.[\dTZ-]+)$", SERVICES[name]["image"])


def test_profiles_and_what_runs_without_one() -> None:
    profiles = {name: tuple(service.get("profiles", ())) for name, service in SERVICES.items()}
    assert [name for name, wanted in profiles.items() if not wanted] == ["hdhe"]
    assert {wanted for wanted in profiles.values() if wanted} == {("gpu",), ("milvus",), ("monitoring",)}
    (device,) = SERVICES["hdhe-gpu"]["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])


def test_the_service_over_milvus_finds_it_and_has_its_client() -> None:
    service = SERVICES["hdhe-milvus"]
    assert service["depends_on"] == {"milvus": {"condition": "service_healthy"}}
    found = urlsplit(service["environment"]["HDHE_MILVUS_URI"])
    assert found.hostname in SERVICES
    assert SERVICES["milvus"]["ports"][0].endswith(f":{found.port}")
    # On a network that both are on; the stores behind Milvus are not.
    assert set(service["networks"]) & set(SERVICES["milvus"]["networks"]) == {"default"}
    # As a client, without the Milvus Lite that would take the place of faiss-gpu.
    (installed,) = re.findall(r"pip install --no-cache-dir '\.\[(.*)\]'", DOCKERFILE)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert installed.split(",") == ["milvus"]
    assert all(not requirement.startswith("milvus-lite") for requirement in extras["milvus"])


def test_the_stores_of_milvus_are_on_a_network_of_their_own() -> None:
    assert COMPOSE["networks"]["milvus"]["internal"] is True
    for name in ("etcd", "minio"):
        assert SERVICES[name]["networks"] == ["milvus"]
        assert "ports" not in SERVICES[name]


def test_volumes_secrets_and_files_that_are_named_exist() -> None:
    for service in SERVICES.values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("./"):
                assert (ROOT / source).is_file(), source
            elif not source.startswith("$"):
                assert source in COMPOSE["volumes"]
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
    assert "monitoring/key" in (ROOT / ".gitignore").read_text().splitlines()


def test_the_image_runs_as_nobody_in_particular_and_copies_no_secret() -> None:
    instructions = re.findall(r"^([A-Z]+) (.*)$", DOCKERFILE, re.MULTILINE)
    users = [value for name, value in instructions if name == "USER"]
    assert users[-1:] == ["hdhe"]
    assert [name for name, _ in instructions].index("USER") < [name for name, _ in instructions].index("CMD")
    copied = {word for name, value in instructions if name == "COPY" for word in value.split()[:-1]}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == allowed
    for source in copied:
        assert (ROOT / source).exists()


def test_the_times_of_stopping_fit_together() -> None:
    grace = int(SERVICES["hdhe"]["stop_grace_period"].removesuffix("s"))
    assert grace > Settings.model_fields["shutdown_seconds"].default + 10


def test_prometheus_asks_with_a_key_for_a_path_that_needs_one() -> None:
    asked = yaml.safe_load((ROOT / "monitoring" / "prometheus.yml").read_text())
    (job,) = asked["scrape_configs"]
    assert job["metrics_path"] not in PUBLIC
    assert job["authorization"]["credentials_file"] == "/run/secrets/prometheus_key"
    assert job["static_configs"] == [{"targets": ["hdhe:8000"]}]
    assert asked["rule_files"] == ["alerts.yml"]


def _exported() -> set[str]:
    """Names of the samples that a service exports, each metric having been used once."""
    import asyncio

    telemetry = Telemetry()
    telemetry.answered("GET", "/v1/stats", 200, 0.1, StageTimes({"decode": [0.1]}))
    content, _ = asyncio.run(telemetry.scrape(None, ""))
    families = list(text_string_to_metric_families(content.decode()))
    return {sample.name for family in families for sample in family.samples} | {
        family.name for family in families
    }


def _expressions() -> list[str]:
    shown = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return shown + [rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]]


def test_the_dashboard_and_the_alerts_ask_for_metrics_that_there_are() -> None:
    exported = _exported() | {"up"}
    asked = {name for text in _expressions() for name in re.findall(r"\b(?:hdhe|process)_\w+|\bup\b", text)}
    assert len(asked) > 12
    assert asked <= exported, asked - exported


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert x < 24
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_every_alert_says_what_it_means_and_the_page_what_to_do() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["summary"].endswith(".")
            assert f"`{rule['alert']}`" in page

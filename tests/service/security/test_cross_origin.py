"""Pages of other sites: none by default, and those of the settings."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from indexes.errors import UserError
from retrieval.gallery import Gallery
from service.app import create_app
from service.security.key_file import KeyFile, create_key
from service.settings import Settings, settings_from_environment

SHOP = "https://shop.example"
PREFLIGHT = {
    "Origin": SHOP,
    "Access-Control-Request-Method": "PUT",
    "Access-Control-Request-Headers": "authorization",
}


def test_by_default_no_other_site_may_read_an_answer(client: TestClient) -> None:
    answers = [
        client.get("/v1/stats", headers={"Origin": SHOP}),
        client.options("/v1/items/a", headers=PREFLIGHT),
    ]
    for answer in answers:
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_an_origin_of_the_settings_may(gallery: Gallery) -> None:
    keys = KeyFile(gallery.folder / "keys.json")
    _, token = create_key(gallery.folder / "keys.json", "shop", "read")
    settings = Settings(cors_origins=f"{SHOP}, http://localhost:3000")
    with TestClient(create_app(gallery, settings, keys=keys), base_url="http://localhost") as client:
        asked = client.options("/v1/items/a", headers=PREFLIGHT)  # without a key, as browsers send it
        assert asked.status_code == 200
        assert asked.headers["access-control-allow-origin"] == SHOP
        assert "PUT" in asked.headers["access-control-allow-methods"]
        assert "Authorization" in asked.headers["access-control-allow-headers"]
        for origin, allowed in ((SHOP, SHOP), ("http://localhost:3000", "http://localhost:3000")):
            answer = client.get("/v1/stats", headers={"Origin": origin, "Authorization": f"Bearer {token}"})
            assert answer.headers["access-control-allow-origin"] == allowed
            assert "access-control-allow-credentials" not in answer.headers
        # A refusal can be read too, or the page could not say what is wrong.
        assert (
            client.get("/v1/items", headers={"Origin": SHOP}).headers["access-control-allow-origin"] == SHOP
        )
        for other in ("https://shop.example.evil.example", "null", "http://shop.example"):
            answer = client.get("/v1/stats", headers={"Origin": other})
            assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "value", ["*", "shop.example", "https://shop.example/", "https://a b", "ftp://a", "null"]
)
def test_what_is_no_origin_is_named(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HDHE_CORS_ORIGINS", value)
    with pytest.raises(UserError, match="HDHE_CORS_ORIGINS") as refused:
        settings_from_environment()
    assert "is not an origin such as" in str(refused.value)

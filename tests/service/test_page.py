"""The web page: what is served, and that nothing on it needs more than the content security policy allows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import service

WEB = Path(service.__file__).parent / "web"
MODULES = sorted(path.name for path in WEB.glob("*.js"))


def test_the_page_and_all_it_refers_to_are_served(client: TestClient) -> None:
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    referred = set(re.findall(r'(?:href|src)="(/web/[^"]+)"', page.text))
    assert {"/web/style.css", "/web/app.js", "/web/icon.svg"} <= referred
    for module in MODULES:
        imported = re.findall(r'from "\./([^"]+)"', client.get(f"/web/{module}").text)
        referred |= {f"/web/{name}" for name in imported}
    for path in referred:
        answer = client.get(path)
        assert answer.status_code == 200
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert referred >= {f"/web/{module}" for module in MODULES}


def test_the_policy_is_strict_on_every_answer(client: TestClient) -> None:
    for path in ("/", "/web/app.js", "/v1/stats", "/nothing"):
        policy = client.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert "*" not in policy


def test_nothing_is_inline_and_nothing_comes_from_elsewhere() -> None:
    page = (WEB / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page)
    assert re.findall(r"<script(?![^>]*\ssrc=)", page) == []
    for path in WEB.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://", text), path.name


@pytest.mark.parametrize("module", MODULES)
def test_what_others_wrote_never_becomes_markup(module: str) -> None:
    text = (WEB / module).read_text()
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"):
        assert way not in text

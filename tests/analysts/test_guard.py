"""The analysts' page answers the browser of its machine, with the token, and nobody else; and it answers no paths."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from kanta.analysts import application
from kanta.home import REPOSITORY, Home

TOKEN = "a-token-of-tests"  # noqa: S105
HERE = "http://localhost:2718"


@pytest.fixture(scope="module")
def app(home: Home) -> Any:
    return application(home, TOKEN)


@pytest.fixture
def stranger(app: Any) -> Iterator[TestClient]:
    """One without the token."""
    with TestClient(app, base_url=HERE, follow_redirects=False) as client:
        yield client


@pytest.fixture
def analyst(stranger: TestClient) -> TestClient:
    """One who opened the address that was printed."""
    opened = stranger.get(f"/?access_token={TOKEN}&view=customer&customer=K1")
    assert (opened.status_code, opened.headers["location"]) == (303, "/?view=customer&customer=K1")
    assert {"httponly", "samesite=lax"} <= set(opened.headers["set-cookie"].lower().split("; "))
    assert TOKEN not in opened.headers["set-cookie"]
    return stranger


def refused_socket(client: TestClient, path: str = "/ws?session_id=s_aaaaaa", **headers: str) -> bool:
    try:
        with client.websocket_connect(path, headers=headers):
            return False
    except WebSocketDisconnect:
        return True


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:2718", "localhost.evil.example", "localhost:2718@evil.example", "127.0.0.1.nip.io",
     "localhost:x", "", "[::2]", "192.168.0.1", "localhost,evil.example"],
)  # fmt: skip
def test_a_foreign_name_is_refused_whatever_is_asked(host: str, analyst: TestClient) -> None:
    for path in ("/", "/health", "/login", "/assets/x.js", "/@file/1-x.csv", f"/?access_token={TOKEN}"):
        assert analyst.get(path, headers={"Host": host}).status_code == 403, path
    assert analyst.post("/api/kernel/function_call", headers={"Host": host}, json={}).status_code == 403
    assert refused_socket(analyst, Host=host)


@pytest.mark.parametrize("host", ["localhost:2718", "LOCALHOST", "127.0.0.1:1", "[::1]:2718"])
def test_each_own_name_is_answered(host: str, analyst: TestClient) -> None:
    assert analyst.get("/", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "http://localhost:8080",
        "http://localhost",
        "http://localhost:2718.evil.example",
        "",
    ],
)
def test_another_site_is_refused_also_with_the_token(origin: str, analyst: TestClient) -> None:
    assert refused_socket(analyst, Origin=origin)
    for path in ("/", "/login"):
        assert analyst.get(path, headers={"Origin": origin}).status_code == 403
    assert analyst.post("/api/kernel/set_ui_element_value", headers={"Origin": origin}, json={}).status_code == 403


def test_without_the_token_only_the_way_in_is_answered(stranger: TestClient) -> None:
    there = stranger.get("/?view=customer&customer=%22%3E%3Cscript%3E")
    assert there.status_code == 303
    page = stranger.get(there.headers["location"])
    assert (page.status_code, "<script" in page.text) == (200, False)
    assert "'none'" in page.headers["content-security-policy"]
    for path in ("/assets/x.js", "/@file/1-x.csv", "/favicon.ico"):
        assert stranger.get(path).status_code == 403, path
    assert stranger.post("/api/kernel/function_call", json={}).status_code == 403
    assert refused_socket(stranger, Origin=HERE)
    assert refused_socket(stranger, f"/ws?session_id=s_aaaaaa&access_token={TOKEN}x", Origin=HERE)
    assert stranger.get("/?access_token=wrong").status_code == 403
    assert stranger.get("/?access_token=").status_code == 303
    stranger.cookies.set("kanta_analysts_80", "wrong")
    assert stranger.get("/").status_code == 303


def test_the_token_can_be_typed_and_leads_where_one_wanted_to_go(stranger: TestClient) -> None:
    assert stranger.post("/login", data={"access_token": "wrong", "next": ""}).status_code == 403
    assert stranger.get("/").status_code == 303
    asked = stranger.get("/?view=customer&customer=" + quote("//evil.example/\r\nx: y")).headers["location"]
    (following,) = re.findall(r'name="next" value="([^"]*)"', stranger.get(asked).text)
    wanted = following.replace("&amp;", "&")
    given = stranger.post("/login", data={"access_token": TOKEN, "next": wanted}, headers={"Origin": HERE})
    assert given.status_code == 303
    assert given.headers["location"] == "/?view=customer&customer=%2F%2Fevil.example%2F%0D%0Ax%3A+y"
    assert stranger.get("/").status_code == 200


def test_what_runs_is_the_pages_own_and_nothing_of_the_address_is_in_it(analyst: TestClient) -> None:
    page = analyst.get("/?view=customer&customer=<script>alert(4711)</script>")
    assert page.status_code == 200
    assert "4711" not in page.text
    assert page.text == analyst.get("/").text
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    scripts = policy["script-src"].split()
    assert all(source == "'self'" or source.startswith("'sha256-") for source in scripts), scripts
    assert policy["connect-src"].split() == ["'self'", "ws://localhost:2718", "wss://localhost:2718"]
    assert (policy["default-src"], policy["object-src"], policy["base-uri"]) == ("'none'",) * 3
    asset = re.search(r'src="\./(assets/[^"]+\.js)"', page.text)
    assert asset
    for path in (f"/{asset[1]}", "/health"):
        answer = analyst.get(path)
        assert (answer.status_code, "script-src 'self';" in answer.headers["content-security-policy"]) == (200, True)


def test_no_path_of_the_machine_is_answered(analyst: TestClient) -> None:
    assert str(REPOSITORY) not in analyst.get("/").text
    assert quote(str(REPOSITORY), safe="") not in analyst.get("/").text
    for path in (
        "home/workspace_files",
        "home/running_notebooks",
        "kernel/read_code",
        "files/list_files",
        "kernel/run",
    ):
        assert analyst.post(f"/api/{path}", json={}).status_code == 404, path
    for path in (
        "/api/version", "/api/status/connections", "/api/usage", "/public/page.py", "/og/thumbnail", "/sse",
        "/auth/login", "/@file/../../page.py", "/assets/../page.py", "/page.py", "/public-files-sw.js", "/docs",
    ):  # fmt: skip
        answer = analyst.get(path)
        assert answer.status_code in (404, 400), (path, answer.text[:100])
    assert refused_socket(analyst, "/ws_sync?session_id=s_aaaaaa", Origin=HERE)
    assert refused_socket(analyst, "/terminal/ws", Origin=HERE)
    assert analyst.request("TRACE", "/").status_code == 404


def test_behind_a_proxy_its_name_is_answered_without_a_token(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(home.settings), "analysts_url", "https://figures.example/kanta", raising=False)
    settings = home.settings.model_copy(update={"analysts_url": "https://figures.example/kanta"})
    monkeypatch.setitem(vars(home), "settings", settings)
    with TestClient(application(home, ""), base_url="https://figures.example", follow_redirects=False) as client:
        assert client.get("/").status_code == 200
        assert client.get("/", headers={"Host": "other.example"}).status_code == 403
        assert client.get("/", headers={"Origin": "https://other.example"}).status_code == 403

"""Who may ask the analysts' page, and what it answers: the browser of this machine, with the token, the page alone.

In front of everything the page serves, HTTP and websocket, stand four checks: the name it was asked for (a foreign name
that points here is how another site reads a page of this machine), the site that asks (Origin), the token, and a list
of what is served at all. What goes out carries a content policy under which no script runs but those of the page.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote, urlencode, urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: The names of this machine.
OWN = frozenset({"localhost", "127.0.0.1", "::1"})

#: What is served; the rest of marimo's server answers files, paths and states that nobody needs here.
_SERVED = {
    "GET": re.compile(r"/|/health|/assets/[\w./@-]+|/@file/[\w.@+-]+|/[\w-]+\.(ico|png|svg|json|webmanifest)"),
    "POST": re.compile(r"/api/kernel/(set_ui_element_value|set_model_value|function_call|instantiate)/?"),
    "WS": re.compile(r"/ws"),
}
_TOKEN, _MOST_FORM = "access_token", 4096

_HEADERS = (
    ("x-content-type-options", "nosniff"), ("x-frame-options", "DENY"), ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"), ("cross-origin-resource-policy", "same-origin"),
)  # fmt: skip

_SCRIPT = re.compile(r"<script(?![^>]*\bsrc=)[^>]*>(.*?)</script>", re.DOTALL)

_LOGIN = """<!doctype html><html lang="en"><title>Kanta for analysts</title><h1>Kanta for analysts</h1>
<p>Open the address that <code>kanta analysts</code> printed, or give the token that stands in it.</p>
<form method="post" action="/login"><input type="hidden" name="next" value="{next}">
<label>Token <input type="password" name="access_token" autofocus></label> <button>Open</button></form></html>"""


class Guard:
    """The page as an ASGI application that answers nobody else.

    ``token``: empty for none (behind a proxy that asks for a password); ``hosts``: further names the page is asked for
    by (that of ``analysts_url``); ``folder``: where the page's file lies, which is told to nobody.
    """

    def __init__(self, served: App, token: str, hosts: Collection[str], folder: Path) -> None:
        self._served, self._token, self._hosts, self._folder = served, token, OWN | {*hosts}, folder
        self._page: tuple[bytes, str] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._served(scope, receive, send)
            return
        headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in scope["headers"]]
        host = self._host(headers)
        if host is None or not self._same_site(headers, host):
            await _refuse(scope, send, 403, "This page answers its own machine's browser under its own name alone.")
            return
        method = "WS" if scope["type"] == "websocket" else "GET" if scope["method"] == "HEAD" else scope["method"]
        path = str(scope["path"])
        if self._token and path == "/login" and method in ("GET", "POST"):
            await self._login(scope, receive, send, method)
        elif method not in _SERVED or not _SERVED[method].fullmatch(path):
            await _refuse(scope, send, 404, "There is nothing here.")
        elif method == "GET" and path == "/" and self._named_in(scope):
            await self._enter(scope, send, host)
        elif path != "/health" and not self._known(headers):
            await self._turn_away(scope, send, path)
        elif method == "GET" and path == "/":
            await self._front(scope, receive, send, host)
        else:
            await self._served(scope, receive, _with_headers(send, self._policy(host, "")))

    # ── who asks ─────────────────────────────────────────────────────────────────────────────────────────────

    def _host(self, headers: list[tuple[str, str]]) -> str | None:
        """The name and port the page was asked for; None for a name that is not its own, or several."""
        given = [value for name, value in headers if name == "host"]
        if len(given) != 1 or not re.fullmatch(r"[\w.-]+(:\d{1,5})?|\[[\da-fA-F:]+\](:\d{1,5})?", given[0]):
            return None
        return given[0] if (urlsplit(f"//{given[0]}").hostname or "") in self._hosts else None

    def _same_site(self, headers: list[tuple[str, str]], host: str) -> bool:
        """Whether no other site's script asks. A browser says which does, at each socket and each POST."""
        own = {f"http://{host}".lower(), f"https://{host}".lower()}
        return all(value.lower() in own for name, value in headers if name == "origin")

    def _secret(self) -> str:
        return hashlib.sha256(f"kanta analysts {self._token}".encode()).hexdigest()

    def _cookie(self, scope: Scope) -> str:
        """One name for each port: pages of several homes do not shut each other out."""
        return f"kanta_analysts_{(scope.get('server') or ('', 0))[1]}"

    def _known(self, headers: list[tuple[str, str]]) -> bool:
        """Whether a cookie says that the token was given."""
        if not self._token:
            return True
        for value in (value for name, value in headers if name == "cookie"):
            try:
                crumbs = SimpleCookie(value)
            except CookieError:
                continue
            for name, crumb in crumbs.items():
                if name.startswith("kanta_analysts_") and _same(crumb.value, self._secret()):
                    return True
        return False

    # ── coming in ────────────────────────────────────────────────────────────────────────────────────────────

    def _named_in(self, scope: Scope) -> str:
        return next(iter(parse_qs(scope["query_string"].decode("latin-1")).get(_TOKEN, [])), "") if self._token else ""

    async def _enter(self, scope: Scope, send: Send, host: str) -> None:
        """Takes the token out of the address, where it would be kept and sent on, into a cookie."""
        if not _same(self._named_in(scope), self._token):
            await _refuse(scope, send, 403, "That is not the token.")
            return
        rest = [pair for pair in parse_qsl(scope["query_string"].decode("latin-1")) if pair[0] != _TOKEN]
        await self._let_in(scope, send, f"/?{urlencode(rest)}" if rest else "/")

    async def _let_in(self, scope: Scope, send: Send, to: str) -> None:
        cookie = f"{self._cookie(scope)}={self._secret()}; HttpOnly; SameSite=Lax; Path=/"
        await _answer(send, 303, b"", [("location", to), ("set-cookie", cookie), ("cache-control", "no-store")])

    async def _turn_away(self, scope: Scope, send: Send, path: str) -> None:
        if scope["type"] == "http" and path == "/":
            query = scope["query_string"].decode("latin-1")
            await _answer(send, 303, b"", [("location", f"/login?next={quote(query, safe='')}")])
        else:
            await _refuse(scope, send, 403, "The token is missing: open the address that kanta analysts printed.")

    async def _login(self, scope: Scope, receive: Receive, send: Send, method: str) -> None:
        form = parse_qs(await _body(receive) if method == "POST" else scope["query_string"].decode("latin-1"))
        query = urlencode(parse_qsl(next(iter(form.get("next", [])), "")))
        if method == "POST" and _same(next(iter(form.get(_TOKEN, [])), ""), self._token):
            await self._let_in(scope, send, f"/?{query}" if query else "/")
            return
        # ``query`` was put together anew from its parts, so it holds no sign that ends an attribute.
        page = _LOGIN.format(next=query.replace("&", "&amp;")).encode()
        kind = [("content-type", "text/html; charset=utf-8"), ("content-security-policy", _LOGIN_POLICY)]
        await _answer(send, 403 if method == "POST" else 200, page, kind)

    # ── what goes out ────────────────────────────────────────────────────────────────────────────────────────

    def _policy(self, host: str, scripts: str) -> str:
        return "; ".join(
            (
                "default-src 'none'", f"script-src 'self'{scripts}", "style-src 'self' 'unsafe-inline'",
                "img-src 'self' data: blob:", "font-src 'self' data:", "media-src 'self'", "manifest-src 'self'",
                f"connect-src 'self' ws://{host} wss://{host}", "worker-src 'self'", "form-action 'self'",
                "frame-src 'none'", "frame-ancestors 'none'", "object-src 'none'", "base-uri 'none'",
            )
        )  # fmt: skip

    async def _front(self, scope: Scope, receive: Receive, send: Send, host: str) -> None:
        """The page itself, the same for every address: nothing of the address is in it."""
        if self._page is None:
            self._page = await self._made(scope, receive)
        page, scripts = self._page
        headers = [("content-type", "text/html; charset=utf-8"), ("cache-control", "no-store")]
        policy = [("content-security-policy", self._policy(host, scripts))]
        await _answer(send, 200, b"" if scope["method"] == "HEAD" else page, [*headers, *policy])

    async def _made(self, scope: Scope, receive: Receive) -> tuple[bytes, str]:
        """The page as marimo makes it, without paths of this machine, and its own inline scripts by their hashes."""
        parts: list[bytes] = []

        async def kept(message: MutableMapping[str, Any]) -> None:
            parts.append(message.get("body", b""))

        plain = [(name, value) for name, value in scope["headers"] if name.lower() in (b"host", b"accept")]
        await self._served({**scope, "method": "GET", "query_string": b"", "headers": plain}, receive, kept)
        page = b"".join(parts).decode()
        whole = str(self._folder / "page.py")
        for written, instead in ((whole, "page.py"), (quote(whole, safe=""), "page.py")):
            page = page.replace(f"file://{written}", instead).replace(written, instead)
        for folder in (self._folder, *self._folder.parents[:-1]):
            page = page.replace(f'"{folder}"', '""').replace(f'"file://{folder}"', '""')
        hashes = [hashlib.sha256(script.encode()).digest() for script in _SCRIPT.findall(page)]
        return page.encode(), "".join(f" 'sha256-{base64.b64encode(each).decode()}'" for each in hashes)


_LOGIN_POLICY = "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), right.encode())


async def _body(receive: Receive) -> str:
    found = bytearray()
    while True:
        message = await receive()
        found += message.get("body", b"")
        if not message.get("more_body") or len(found) > _MOST_FORM:
            return found[:_MOST_FORM].decode("latin-1")


async def _refuse(scope: Scope, send: Send, status: int, text: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": text})  # before it is accepted: 403
        return
    await _answer(send, status, text.encode(), [("content-type", "text/plain; charset=utf-8")])


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[str, str]]) -> None:
    lines = [*headers, *_HEADERS, ("content-length", str(len(body)))]
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def _with_headers(send: Send, policy: str) -> Send:
    """Adds the policy to every answer."""
    ours = [("content-security-policy", policy), *_HEADERS]

    async def sent(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            names = {name.encode() for name, _ in ours}
            rest = [(name, value) for name, value in message["headers"] if name.lower() not in names]
            message["headers"] = [*rest, *((name.encode(), value.encode()) for name, value in ours)]
        await send(message)

    return sent

"""The analysts' page: a marimo app over the published lake, read-only (spec: 5-rfm.md, for analysts)."""

from __future__ import annotations

import os
import secrets
import threading
import webbrowser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from kanta.home import Home
from kanta.lake import Lake

PORT = 2718

#: The environment variable that holds a token of one's own, so that it stays the same.
TOKEN = "KANTA_ANALYSTS_TOKEN"  # noqa: S105  # its name, not its value


def application(home: Home, token: str) -> Any:
    """The page as an ASGI application; reads ``home`` until the process ends. ``token``: empty for none."""
    import marimo

    from kanta.analysts.guard import Guard

    os.environ["KANTA_HOME"] = str(home.root)
    page = Path(__file__).with_name("page.py")
    served = marimo.create_asgi_app(quiet=True).with_app(path="", root=str(page)).build()
    proxy = urlsplit(home.settings.analysts_url or "").hostname
    return Guard(served, token, [proxy] if proxy else [], page.parent)


def serve(home: Home, port: int = PORT, *, browser: bool = True, token: bool = True) -> int:
    """Serves the page to this machine until it is stopped. Raises KantaError when nothing is published yet.

    ``token``: whether one is needed, as in the address that is printed; not where a proxy asks for a password.
    """
    import uvicorn

    night = Lake(home).published().night
    secret = (os.environ.get(TOKEN) or secrets.token_urlsafe(24)) if token else ""
    url = f"http://localhost:{port}/" + (f"?access_token={secret}" if secret else "")
    print(f"The analysts' page, as of {night}: {url} (stop it with Ctrl+C)", flush=True)
    if browser:
        threading.Timer(1.5, webbrowser.open, [url]).start()
    uvicorn.run(application(home, secret), host="127.0.0.1", port=port, log_level="warning")
    return 0

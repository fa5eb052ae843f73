"""The analysts' page: a marimo app over the published lake, read-only (spec: 5-rfm.md, for analysts)."""

from __future__ import annotations

import os
import threading
import webbrowser
from pathlib import Path
from typing import Any

from kanta.home import Home
from kanta.lake import Lake

PORT = 2718

#: Browsers fetch nothing from elsewhere: what the page needs comes with marimo. (Its charts would ask for MathJax.)
POLICY = "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob: ws: wss:"


def application(home: Home) -> Any:
    """The page as an ASGI application; reads ``home`` until the process ends."""
    import marimo
    from starlette.datastructures import MutableHeaders

    os.environ["KANTA_HOME"] = str(home.root)
    page = str(Path(__file__).with_name("page.py"))
    served = marimo.create_asgi_app(quiet=True).with_app(path="", root=page).build()

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Content-Security-Policy"] = POLICY
            await send(message)

        await served(scope, receive, sent)

    return guarded


def serve(home: Home, port: int = PORT, *, browser: bool = True) -> int:
    """Serves the page to this machine until it is stopped. Raises KantaError when nothing is published yet."""
    import uvicorn

    night = Lake(home).published().night
    url = f"http://localhost:{port}"
    print(f"The analysts' page, as of {night}: {url} (stop it with Ctrl+C)", flush=True)
    if browser:
        threading.Timer(1.5, webbrowser.open, [url]).start()
    uvicorn.run(application(home), host="127.0.0.1", port=port, log_level="warning")
    return 0

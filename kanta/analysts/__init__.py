"""The analysts' page: a marimo app over the published lake, read-only (spec: 5-rfm.md, for analysts)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from kanta.home import Home
from kanta.lake import Lake

PORT = 2718


def serve(home: Home, port: int = PORT, *, browser: bool = True) -> int:
    """Serves the page on this machine until it is stopped; returns the server's exit code.

    Raises KantaError when nothing is published yet.
    """
    _ = Lake(home).published().night
    page = Path(__file__).with_name("page.py")
    command = [sys.executable, "-m", "marimo", "run", str(page), "--port", str(port), "--no-token"]
    if not browser:
        command.append("--headless")
    environment = os.environ | {"KANTA_HOME": str(home.root), "MARIMO_SKIP_UPDATE_CHECK": "1"}
    return subprocess.call(command, env=environment)  # noqa: S603

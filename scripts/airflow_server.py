"""Starts Airflow on this repository in the background, and stops it (`make up`, `make down`)."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

REPOSITORY = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
STATE = REPOSITORY / ".airflow"
LOG, PID = STATE / "standalone.log", STATE / "standalone.pid"


def up(port: int) -> int:
    """Starts `airflow standalone`, waits until all of it answers and has read the DAGs, and says where it is."""
    url = f"http://localhost:{port}"
    if running():
        print(f"Airflow is running already: {url} (or the PORT it was started with). Stop it: make down")
        return 0
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            print(f"Port {port} is taken.\n  next:  make up PORT={port + 1}", file=sys.stderr)
            return 1
    STATE.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(REPOSITORY),
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",  # it starts its parts by name
    }
    with LOG.open("w") as log:
        server = subprocess.Popen(
            [BIN / "airflow", "standalone"],
            cwd=REPOSITORY,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    PID.write_text(str(server.pid))
    print("Airflow is starting; this takes up to a minute.", flush=True)
    for _ in range(180):
        time.sleep(1)
        if server.poll() is not None:
            break
        if ready(url):
            if not knows_kanta(url):
                print(
                    "Airflow has no pool `lake`: Kanta is not installed beside it.\n  next:  make setup",
                    file=sys.stderr,
                )
                down()
                return 1
            print(f"{url}   home {os.environ.get('KANTA_HOME') or 'data'}, log {LOG.relative_to(REPOSITORY)}")
            print("Trigger the three ingest_* DAGs with a business date, and the night follows. Stop it: make down")
            return 0
    print(
        "\n".join([f"Airflow did not start; the end of {LOG}:", *LOG.read_text().splitlines()[-20:]]), file=sys.stderr
    )
    down()
    return 1


def ready(url: str) -> bool:
    """Whether every part of Airflow is healthy and the DAGs are there."""
    try:
        parts = json.load(urlopen(f"{url}/api/v2/monitor/health", timeout=5))  # noqa: S310
        dags = json.load(urlopen(f"{url}/api/v2/dags", timeout=5))  # noqa: S310
    except OSError:
        return False
    return all(part["status"] == "healthy" for part in parts.values()) and dags["total_entries"] > 0


def knows_kanta(url: str) -> bool:
    """Whether the plugin is loaded, which makes the pool; without it every task would wait for ever."""
    pools = json.load(urlopen(f"{url}/api/v2/pools", timeout=5))  # noqa: S310
    return any(pool["name"] == "lake" for pool in pools["pools"])


def running() -> int:
    """The process id of the Airflow that `up` started, 0 if there is none."""
    if not PID.is_file():
        return 0
    pid = int(PID.read_text())
    command = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True)  # noqa: S607
    return pid if "airflow" in command.stdout else 0


def down() -> int:
    """Stops Airflow and all its processes; a stage that is cut off leaves the lake as it was before it."""
    pid = running()
    if not pid:
        print("Airflow is not running.")
        return 0
    os.killpg(pid, signal.SIGTERM)
    for _ in range(60):
        time.sleep(0.5)
        try:
            os.killpg(pid, 0)
        except ProcessLookupError:
            break
    else:
        os.killpg(pid, signal.SIGKILL)
    PID.unlink()
    print("Airflow is stopped.")
    return 0


if __name__ == "__main__":
    sys.exit(down() if sys.argv[1] == "down" else up(int(sys.argv[2])))

"""One Airflow for all tests of the DAGs: the repository's airflow.cfg, an empty database, nothing of the user's."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from kanta.dag_runs import dag_bag, use_airflow
from kanta.home import REPOSITORY


@pytest.fixture(scope="session", autouse=True)
def airflow(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing may import Airflow before this: test modules do so inside their tests."""
    use_airflow(tmp_path_factory.mktemp("airflow"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with the sample programme, in New York, and nothing else, where tasks and DAG files find it."""
    folder = tmp_path / "home"
    shutil.copytree(REPOSITORY / "data" / "programme", folder / "programme")
    monkeypatch.setenv("KANTA_HOME", str(folder))
    return folder


@pytest.fixture
def bag(home: Path):
    return dag_bag()

"""A home's path may hold what URLs and patterns mean something by."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.io.pyarrow import PyArrowFileIO
from sqlalchemy import text

from kanta.engine import Engine, file_literal
from kanta.home import Home
from kanta.iceberg_files import EscapedFiles
from kanta.lake import Lake, uri_of

ODD = ("dev#1", "50%25", "what?x=1", "a b", "ä", "x[1]", "st*r")


@pytest.mark.parametrize("name", ODD)
def test_icebergs_catalog_and_files_lie_in_the_home(tmp_path: Path, name: str) -> None:
    lake = Lake(Home(tmp_path / name))
    with lake.catalog.engine.connect() as connection:
        connection.execute(text("select 1"))
    file = lake.root / "metadata" / "x.json"
    lake.catalog._load_file_io(location=uri_of(file)).new_output(uri_of(file)).create().close()
    assert lake.local(uri_of(file)) == file
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["catalog.db", "x.json"]
    assert (lake.root / "catalog.db").is_file()
    assert file.is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_plain_path_is_written_as_before() -> None:
    plain = Path("/srv/kanta/lake/sales/lines/data/1-0/business_date_month=2017-01/data_0.parquet")
    assert uri_of(plain) == f"file://{plain}"


def test_pyiceberg_still_takes_a_uri_as_it_is_written() -> None:
    """Once this fails, kanta/iceberg_files.py is no longer needed."""
    assert PyArrowFileIO.parse_location("file:///a%23b")[2] == "/a%23b"
    assert EscapedFiles.parse_location("file:///a%23b")[2] == "/a#b"


@pytest.mark.parametrize(("name", "fits"), [("what?", "whatX"), ("st*r", "star"), ("x[1]", "x1")])
def test_the_engine_reads_the_file_that_is_named_and_no_other_that_fits(tmp_path: Path, name: str, fits: str) -> None:
    for folder in (name, fits):
        (tmp_path / folder).mkdir()
        pq.write_table(pa.table({"of": [folder]}), tmp_path / folder / "x.parquet")
    with Engine(tmp_path / "work") as engine:
        query = f"select of from read_parquet({file_literal(tmp_path / name / 'x.parquet')})"
        assert engine.rows(query) == [(name,)]

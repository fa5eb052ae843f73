"""analysts.duckdb: what any DuckDB client sees."""

from __future__ import annotations

import shutil
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from kanta import contracts, reading
from kanta.errors import CheckFailed
from kanta.home import Home
from kanta.lake import Lake
from tests.analysts.conftest import CUSTOMERS

pytestmark = pytest.mark.slow  # whole nights


def test_a_client_sees_every_table_and_can_change_none(home: Home) -> None:
    with duckdb.connect(str(home.lake / "analysts.duckdb"), read_only=True) as con:
        seen = {
            f"{s}.{t}" for s, t in con.sql("select table_schema, table_name from information_schema.tables").fetchall()
        }
        assert seen >= {*contracts.lake(), *contracts.landed()}
        for name in sorted({*contracts.lake(), *contracts.landed()}):
            con.sql(f"select * from {name} limit 1").fetchall()
        assert con.sql("select count(distinct card_id) from loyalty.balances").fetchall() == [(CUSTOMERS,)]
        ((total,),) = con.sql("select sum(monetary_total) from rfm.scores").fetchall()
        assert isinstance(total, Decimal)
        with pytest.raises(duckdb.Error):
            con.sql("create table rfm.mine (a int)")


def test_it_is_replaced_while_someone_reads_it(home: Home) -> None:
    path = home.lake / "analysts.duckdb"
    with duckdb.connect(str(path), read_only=True) as con:
        before = path.stat().st_ino
        reading.write_analysts_file(home, Lake(home).published()).replace(path)
        assert path.stat().st_ino != before
        assert con.sql("select count(*) > 0 from rfm.scores").fetchall() == [(True,)]
    assert not list(home.lake.glob(".analysts*"))


def test_of_a_night_that_is_not_published_no_file_is_left(home: Home) -> None:
    def refused() -> None:
        with reading.AnalystsFile(home) as file:
            file.draw(Lake(home).published())
            raise CheckFailed("1 critical checks failed")

    with pytest.raises(CheckFailed):
        refused()
    assert not list(home.lake.glob(".analysts*"))


def test_it_is_written_anew_when_it_shows_another_publication_and_else_left_alone(home: Home) -> None:
    path = home.lake / "analysts.duckdb"
    before = path.stat().st_ino
    assert reading.refresh_analysts_file(home) == path
    assert path.stat().st_ino == before
    # Whoever published died before it came to this file.
    reading.write_analysts_file(home, replace(Lake(home).published(), number=0)).replace(path)
    assert publication(reading.refresh_analysts_file(home)) == (Lake(home).published().number, str(home.lake))


def test_the_file_of_a_home_that_was_brought_elsewhere_is_written_anew(home: Home, tmp_path: Path) -> None:
    shutil.copytree(home.root, tmp_path / "elsewhere")
    moved = Home(tmp_path / "elsewhere")
    assert publication(reading.refresh_analysts_file(moved)) == (Lake(home).published().number, str(moved.lake))


def publication(file: Path) -> tuple[int, str]:
    """What a file says it shows, all views being of that lake."""
    with duckdb.connect(str(file), read_only=True) as con:
        ((number, lake),) = con.sql("select number, lake from main.publication").fetchall()
        views = con.sql("select sql from duckdb_views() where sql like '%read_parquet%'").fetchall()
    assert views
    assert [sql for (sql,) in views if f"'{lake}/" not in sql] == []
    return number, lake

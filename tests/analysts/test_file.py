"""analysts.duckdb: what any DuckDB client sees."""

from __future__ import annotations

import os
from decimal import Decimal

import duckdb
import pytest

from kanta import contracts, reading
from kanta.home import Home
from tests.analysts.conftest import CUSTOMERS


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


def test_it_is_replaced_after_a_publication_while_someone_reads_it_and_else_left_alone(home: Home) -> None:
    path = home.lake / "analysts.duckdb"
    with duckdb.connect(str(path), read_only=True) as con:
        before = path.stat().st_ino
        assert reading.refresh_analysts_file(home) == path
        assert path.stat().st_ino == before
        os.utime(path, ns=(1, 1))  # older than the publication: whoever published died before it came to this file
        reading.refresh_analysts_file(home)
        assert path.stat().st_ino != before
        assert con.sql("select count(*) > 0 from rfm.scores").fetchall() == [(True,)]
    assert not list(home.lake.glob(".analysts*"))

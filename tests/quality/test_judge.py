"""What is judged, by mutation: one bad row for each kind of promise, and exactly that check fails and names it."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from kanta.contracts import Check
from kanta.engine import Engine
from kanta.errors import KantaError
from kanta.quality import Judge, Result
from tests.quality.conftest import SALES, Judging, sale, written


def failed(results: list[Result]) -> dict[str, str]:
    assert results, "nothing was judged"
    return {result.check_name: result.observed for result in results if not result.success}


def test_rows_as_the_engine_writes_them_meet_every_promise(judged: Judging, tmp_path: Path) -> None:
    with Engine(tmp_path) as engine:
        engine.register("shop.made", pa.Table.from_pylist([sale(1), sale(2, amount=Decimal("9007199254740993.01"))]))
        files = engine.write(SALES, "select * from shop.made", tmp_path / "sales")
    results = judged(files=files)
    assert failed(results) == {}
    assert {result.rows_checked for result in results} == {2}
    observed = {result.check_name: result.observed for result in results}
    assert observed["columns"] == "13 columns"
    assert observed["types"] == "none in 13 columns"
    assert observed["row_count"] == "2 rows"
    assert observed["not_null(sale)"] == "none in 2 rows"


@pytest.mark.parametrize(
    ("changed", "check", "observed"),
    [
        ({"sale": None}, "not_null(sale)", "1 in 3 rows: sale=None, line=1"),
        ({"email": None}, "not_null(email)", "1 in 3 rows: sale=3, line=1"),
        ({"sale": 2}, "unique(sale, line)", "1 in 3 rows: sale=2, line=1"),
        ({"offer": "its"}, "in_set(offer)", "1 in 3 rows: sale=3, line=1, offer=its"),
        ({"amount": Decimal("0.00")}, "between(amount)", "1 in 3 rows: sale=3, line=1, amount=0.00"),
        (
            {"amount": Decimal("9007199254740993.02")},
            "between(amount)",
            "1 in 3 rows: sale=3, line=1, amount=9007199254740993.02",
        ),
        ({"pieces": -6}, "between(pieces)", "1 in 3 rows: sale=3, line=1, pieces=-6"),
        ({"day": dt.date(2016, 12, 31)}, "between(day)", "1 in 3 rows: sale=3, line=1, day=2016-12-31"),
        (
            {"moment": dt.datetime(2018, 1, 1, tzinfo=dt.UTC)},
            "between(moment)",
            "1 in 3 rows: sale=3, line=1, moment=2018-01-01 00:00:00+00",
        ),
        ({"currency": "EURO"}, "matches(currency)", "1 in 3 rows: sale=3, line=1, currency=EURO"),
        ({"comment": "longer"}, "length(comment)", "1 in 3 rows: sale=3, line=1, comment=longer"),
        ({"email": "jane"}, "matches(email)", "1 in 3 rows: sale=3, line=1"),
        ({"paid": False}, "paid_by_someone", "1 in 3 rows: sale=3, line=1"),
        ({"email": "person2@example.org"}, "mail_once", "1 in 3 rows"),
    ],
)
def test_one_bad_row_fails_exactly_its_check_and_is_named_without_personal_values(
    judged: Judging, changed: dict[str, Any], check: str, observed: str
) -> None:
    assert failed(judged(sale(1), sale(2), sale(3, **changed))) == {check: observed}


def test_a_required_column_that_is_empty_in_every_row_fails(judged: Judging) -> None:
    assert failed(judged(sale(1, email=None), sale(2, email=None))) == {
        "not_null(email)": "2 in 2 rows: sale=1, line=1; sale=2, line=1"
    }


def test_of_many_bad_rows_all_are_counted_and_the_first_five_keys_shown(judged: Judging) -> None:
    rows = [sale(number, offer="bad") for number in range(40, 0, -1)]
    shown = "; ".join(f"sale={number}, line=1, offer=bad" for number in range(1, 6))
    assert failed(judged(*rows)) == {"in_set(offer)": f"40 in 40 rows: {shown}"}


def test_a_failed_check_carries_the_severity_of_its_contract(judged: Judging) -> None:
    results = judged(sale(1, pieces=101, paid=False, currency="euro"))
    severities = {result.check_name: result.severity for result in results if not result.success}
    assert severities == {"few_pieces": "info", "paid_by_someone": "warning", "matches(currency)": "critical"}
    few = next(result.observed for result in results if result.check_name == "few_pieces")
    assert "pieces=101" in few
    assert "person1@example.org" not in few


def test_another_type_in_any_of_the_files_fails_the_types(judged: Judging, tmp_path: Path) -> None:
    good = written(tmp_path / "a.parquet", [sale(1)])
    other = written(tmp_path / "b.parquet", [sale(2)], amount=pa.decimal128(18, 4))
    assert failed(judged(files=[good, other])) == {
        "types": "1 in 13 columns: column_name=amount, found=DECIMAL(18,4), promised=DECIMAL(18,2)"
    }


def test_columns_beside_or_in_another_order_than_the_contract_fail_the_columns(judged: Judging, tmp_path: Path) -> None:
    more = written(tmp_path / "more.parquet", [sale(1, added="x")], added=pa.string())
    assert failed(judged(files=[more])) == {"columns": "not promised: added"}
    turned = written(tmp_path / "turned.parquet", [dict(reversed(sale(1).items()))])
    assert failed(judged(files=[turned])) == {"columns": f"in another order: {', '.join(reversed(SALES.names))}"}


def test_a_missing_column_fails_and_what_reads_it_is_not_taken_for_met(judged: Judging, tmp_path: Path) -> None:
    row = {name: value for name, value in sale(1).items() if name != "email"}
    observed = failed(judged(files=[written(tmp_path / "less.parquet", [row])]))
    assert observed["columns"] == "missing: email"
    for check in ("not_null(email)", "matches(email)", "paid_by_someone", "mail_once"):
        assert observed.pop(check).startswith("could not be checked: "), check
        assert "email" in check or "_" in check
    assert list(observed) == ["columns"]


def test_a_check_that_crashes_is_a_failure_that_says_so_and_quotes_no_value(judged: Judging) -> None:
    nowhere = Check("nowhere", "select * from shop.nowhere", "warning")
    cast = Check("cast", "select sale from shop.sales where cast(email as integer) = 1", "info")
    results = judged(sale(1, email="jane@example.org"), checks=(nowhere, cast))
    observed = failed(results)
    assert sorted(observed) == ["cast", "nowhere"], observed
    assert observed["nowhere"].startswith("could not be checked: ")
    assert "nowhere does not exist" in observed["nowhere"]
    assert "Could not convert string '…'" in observed["cast"]
    assert {result.check_name: result.severity for result in results if not result.success} == {
        "nowhere": "warning",
        "cast": "info",
    }


def test_offending_rows_that_cannot_be_worked_out_are_counted_and_quote_no_value(judged: Judging) -> None:
    check = Check("unreadable", "select cast(email as integer) as sale from shop.sales", "error")
    (observed,) = failed(judged(sale(1, email="jane@example.org"), checks=(check,))).values()
    assert observed.startswith("1 in 1 rows that cannot be shown: ")
    assert "jane" not in observed


def test_no_rows_are_fine_unless_the_contract_demands_some(judged: Judging) -> None:
    assert failed(judged()) == {}
    demand = Check("some_rows", "select count(*) as rows from shop.sales having count(*) < 1", "error")
    assert failed(judged(checks=(demand,))) == {"some_rows": "1 in 0 rows"}
    assert failed(judged(sale(1), checks=(demand,))) == {}


def test_what_was_begun_early_is_judged_anew_if_its_files_changed_and_else_kept(worker: Judge, tmp_path: Path) -> None:
    names = ["shop.kept", "shop.rewritten"]
    contracts = {name: replace(SALES, name=name, checks=()) for name in names}
    good, bad = written(tmp_path / "good.parquet", [sale(1)]), written(tmp_path / "bad.parquet", [sale(1, offer="?")])
    worker.begin({"shop.kept": [bad], "shop.rewritten": [bad]}, contracts)
    worker.ask({}, {})  # it has come to the end of what was begun
    bad.unlink()  # what is judged already needs it no more
    results = worker.ask({"shop.rewritten": [good], "shop.kept": [bad]}, contracts)
    assert failed(results) == {"in_set(offer)": "1 in 1 rows: sale=1, line=1, offer=?"}
    assert list(dict.fromkeys(result.table_name for result in results)) == ["shop.rewritten", "shop.kept"]


def test_an_unreadable_file_that_was_begun_early_is_told_when_asked_for(worker: Judge, tmp_path: Path) -> None:
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 but no more")
    worker.begin({SALES.name: [broken]}, {SALES.name: SALES})
    with pytest.raises(KantaError, match=r"files of shop\.sales cannot be read"):
        worker.ask({SALES.name: [broken]}, {SALES.name: SALES})


def test_an_unreadable_file_is_an_error_that_names_it_and_the_worker_goes_on(judged: Judging, tmp_path: Path) -> None:
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 but no more")
    with pytest.raises(KantaError, match=r"files of shop\.sales cannot be read") as error:
        judged(files=[broken])
    assert str(broken) in error.value.where
    assert failed(judged(sale(1))) == {}


def test_a_contract_with_an_underivable_rule_is_an_error_of_the_judge(judged: Judging) -> None:
    with pytest.raises(KantaError, match="have one name: row_count"):
        judged(sale(1), checks=(Check("row_count", "select 1", "error"),))


def test_data_docs_show_what_failed_escaped_and_without_personal_values(judged: Judging, tmp_path: Path) -> None:
    docs = tmp_path / "reports" / "data_docs"
    docs.mkdir(parents=True)
    (docs / "shop.gone.html").write_text("an earlier night", encoding="utf-8")
    hostile = "<script>alert(1)</script>$1 ${x} {{ y }} {% z %}"
    rows = [sale(1, offer=hostile, email="jane"), sale(2)]
    crash = Check("crash", "select sale from shop.sales where cast(email as integer) > 0", "error")
    judged(*rows, docs=docs, checks=(crash,))
    assert sorted(path.name for path in docs.iterdir()) == ["index.html", "shop.sales.html"]
    index, page = ((docs / name).read_text(encoding="utf-8") for name in ("index.html", "shop.sales.html"))
    assert "in_set(offer) (critical), matches(email) (critical), crash (critical)" in index
    assert 'href="shop.sales.html"' in index
    assert "sale=1, line=1, offer=&lt;script&gt;alert(1)&lt;/script&gt;$1 ${x} {{ y }} {% z %}" in page
    assert "could not be checked: " in page
    for text in (index, page):
        assert "jane" not in text
        assert "person2" not in text


def test_data_docs_load_nothing_from_anywhere(judged: Judging, tmp_path: Path) -> None:
    judged(sale(1), sale(2, pieces=-6), docs=tmp_path / "docs")
    pages = sorted((tmp_path / "docs").glob("*.html"))
    assert len(pages) == 2
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert "Content-Security-Policy" in text
        assert not re.findall(r"https?:|//[a-z]|<script|<link|<img|@import|url\(", text), page
        assert set(re.findall(r'href="([^"]*)"', text)) <= {"index.html", "shop.sales.html"}, page


def test_the_worker_asks_nothing_of_the_network_and_leaves_scipy_and_altair_out(
    judged: Judging, seen: Path, tmp_path: Path
) -> None:
    assert failed(judged(sale(1), docs=tmp_path / "docs")) == {}
    assert seen.read_text(encoding="utf-8").splitlines() == ["watching"]

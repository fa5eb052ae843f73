"""Rows that are posted as the fold leaves them: the same as their models would say, in files of one partition each."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kanta import folding, loyalty, postings
from kanta.contracts import contract_of
from kanta.engine import Engine
from kanta.home import Home
from kanta.night import Night
from tests.loyalty.test_cases import ALL, work

#: Cases that between them move points in every way: refunds, transfers, replaced cards, deficits, write-offs.
MOVING = ("card-replaced-deficit", "refund-written-off", "refund-over-deficit", "lots-order-transferred")


@pytest.mark.parametrize("name", [MOVING[0], *(pytest.param(name, marks=pytest.mark.slow) for name in MOVING[1:])])
def test_what_is_posted_as_folded_is_what_the_models_say(
    name: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: dict[str, int] = {}
    differing: dict[str, list[tuple[object, ...]]] = {}
    post = loyalty.post

    def comparing(night: Night) -> None:
        night.unworked(*loyalty.POSTINGS.values())
        for table, model in loyalty.POSTINGS.items():
            contract = contract_of(table)
            gained = postings.of(night.engine, contract, night.parameters)
            night.engine.register("checked._gained", gained)
            columns = ", ".join(f'cast("{column.name}" as {column.type})' for column in contract.columns)
            got, said = f"select {columns} from checked._gained", f"select {columns} from {model}"
            differing[table] = night.engine.rows(f"({got} except all {said}) union all ({said} except all {got})")
            compared[table] = len(gained)
        post(night)

    monkeypatch.setattr(loyalty, "post", comparing)
    work(ALL[name], home, each_night=False)
    assert set(compared) == set(loyalty.POSTINGS)
    assert min(compared.values()) > 0, compared
    assert differing == {table: [] for table in loyalty.POSTINGS}


@pytest.mark.parametrize(
    ("accounts", "parts"),
    [([1, 1, 1, 2, 3, 3, 4], [[1, 1, 1], [2], [3, 3], [4]]), ([1, 1, 1, 1, 1], [[1, 1, 1, 1, 1]]), ([], [[]])],
)
def test_parts_of_the_fold_end_where_an_account_ends(
    accounts: list[int], parts: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding, "BATCH", 2)
    steps = pa.table({"account_no": pa.array(accounts, pa.int64())})
    assert [part["account_no"].to_pylist() for part in folding._batches(steps)] == parts


def test_names_by_number_are_written_as_the_texts_they_are_or_none(tmp_path: Path) -> None:
    contract = contract_of("loyalty.allocations")
    parts = [folding._named(np.array([1, 0], np.int32), pa.array(texts)) for texts in (["a", "b"], ["c", None])]
    rows = pa.table(
        {column.name: pa.nulls(4, pa.string()) for column in contract.columns}
        | {"lot_id": pa.chunked_array(parts), "posted_date": pa.array([date(2026, 1, 31)] * 4, pa.date32())}
    )
    (file,) = postings.write(contract, rows, tmp_path)
    assert pq.read_table(file)["lot_id"].to_pylist() == ["b", "a", None, "c"]


def test_rows_are_written_in_their_order_one_file_for_each_month(tmp_path: Path) -> None:
    contract = contract_of("loyalty.allocations")
    days = [date(2026, 1, 31), date(2026, 2, 1), date(2026, 1, 1), None]
    cards = [pa.array([text], pa.string()).dictionary_encode() for text in ("A", "B", "C")]  # as of three batches
    rows = pa.table(
        {
            "debit_entry_id": ["z", "y", "x"],
            "lot_id": ["l1", "l2", "l3"],
            "seq": np.full(3, 7),
            "allocated_on": pa.array([days[0], days[3], days[2]], pa.date32()),
            "points": folding._points(np.array([100, 200, -300])),
            "card_id": pa.chunked_array(cards),
            "posted_date": pa.array(days[:3], pa.date32()),
        }
    )
    files = postings.write(contract, rows, tmp_path)
    assert [str(file.relative_to(tmp_path)) for file in files] == [
        "posted_date_month=2026-01/data_0.parquet",
        "posted_date_month=2026-02/data_0.parquet",
    ]
    assert [pq.read_table(file)["debit_entry_id"].to_pylist() for file in files] == [["z", "x"], ["y"]]
    with Engine(tmp_path / "work") as engine:
        engine.attach(contract, files)
        types = {name: kind for name, kind, *_ in engine.rows("describe loyalty.allocations")}
        assert types == {column.name: column.type for column in contract.columns}
        assert engine.rows("select card_id, points, allocated_on from loyalty.allocations order by card_id") == [
            ("A", 1, days[0]), ("B", 2, None), ("C", -3, days[2]),
        ]  # fmt: skip
    assert postings.write(contract, rows.slice(0, 0), tmp_path / "none") == []


def test_rows_of_a_state_are_written_under_its_value(tmp_path: Path) -> None:
    contract = contract_of("loyalty.total_states")
    columns = {column.name: pa.nulls(2, pa.string()) for column in contract.columns}
    (file,) = postings.write(contract, pa.table(columns | {"seq": np.full(2, 7)}), tmp_path)
    assert str(file.relative_to(tmp_path)) == "seq=7/data_0.parquet"


def test_hundredths_are_decimals_to_the_last_digit_and_sign() -> None:
    hundredths = np.array([0, 1, -1, 10**17, -(10**17)], np.int64)
    assert [int(points * 100) for points in folding._points(hundredths).to_pylist()] == hundredths.tolist()

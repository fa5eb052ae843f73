"""One data-quality worker for all of these tests: importing Great Expectations takes seconds."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kanta.contracts import Check, Column, Contract
from kanta.quality import Judge, Result

#: Writes down what the worker asks of the network, and whether it loads what it should leave out.
WATCH = """
import os, sys
seen = open(os.environ["KANTA_TEST_SEEN"], "a", buffering=1)
print("watching", file=seen)
def watch(event, args):
    if event.startswith(("socket.connect", "socket.get")) or (event == "import" and args[0] in ("scipy", "altair")):
        print(event, args[0], file=seen)
sys.addaudithook(watch)
"""

SALES = Contract(
    name="shop.sales",
    kind="fact",
    description="Sales.",
    grain="a line",
    columns=(
        Column("sale", "BIGINT", required=True, key=1),
        Column("line", "INTEGER", required=True, key=2),
        Column("offer", "VARCHAR", allowed=("plain", "it's", "{braced}")),
        Column("amount", "DECIMAL(18,2)", minimum="0.01", maximum="9007199254740993.01"),  # the latter is no float
        Column("pieces", "BIGINT", minimum="-5"),
        Column("day", "DATE", minimum="2017-01-01", maximum="2017-12-31"),
        Column("moment", "TIMESTAMPTZ", maximum="2017-12-31T23:59:59Z"),
        Column("currency", "VARCHAR", pattern="^[A-Z]{3}$"),
        Column("comment", "VARCHAR", max_length=5),
        Column("email", "VARCHAR", required=True, pattern=".+@.+", personal=True),
        Column("ratio", "DOUBLE"),
        Column("paid", "BOOLEAN"),
        Column("details", "JSON"),
    ),
    checks=(
        Check("paid_by_someone", "select sale, line, email from shop.sales where not paid", "warning"),
        Check("few_pieces", "select * from shop.sales where pieces > 100 -- many", "info"),
        Check(
            "mail_once",
            "select email as sender from shop.sales where email is not null group by email having count(*) > 1;",
            "error",
        ),
    ),
)

TYPES = {
    "VARCHAR": pa.string(), "BIGINT": pa.int64(), "INTEGER": pa.int32(), "BOOLEAN": pa.bool_(), "DATE": pa.date32(),
    "TIMESTAMPTZ": pa.timestamp("us", "UTC"), "DOUBLE": pa.float64(), "JSON": pa.json_(),
    "DECIMAL(18,2)": pa.decimal128(18, 2),
}  # fmt: skip


def sale(number: int, **changed: Any) -> dict[str, Any]:
    """A row of SALES that breaks nothing, but for what is changed."""
    row = {
        "sale": number,
        "line": 1,
        "offer": "it's",
        "amount": Decimal("0.01"),
        "pieces": -5,
        "day": dt.date(2017, 1, 1),
        "moment": dt.datetime(2017, 12, 31, 23, 59, 59, tzinfo=dt.UTC),
        "currency": "EUR",
        "comment": "short",
        "email": f"person{number}@example.org",
        "ratio": 0.5,
        "paid": True,
        "details": "{}",
    }
    return row | changed


def written(path: Path, rows: Sequence[dict[str, Any]], **types: pa.DataType) -> Path:
    """Rows of SALES (all of the same columns) as a Parquet file; ``types`` differ from the contract's."""
    promised = {column.name: TYPES[column.type] for column in SALES.columns}
    schema = pa.schema([(name, (promised | types)[name]) for name in rows[0]])
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), path)
    return path


@pytest.fixture(scope="session")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("watch") / "seen.txt"


@pytest.fixture(scope="session")
def worker(tmp_path_factory: pytest.TempPathFactory, seen: Path) -> Iterator[Judge]:
    hooks = tmp_path_factory.mktemp("hooks")
    (hooks / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(hooks), prepend=os.pathsep)
        patch.setenv("KANTA_TEST_SEEN", str(seen))
        judge = Judge().__enter__()
    yield judge
    judge.__exit__(None, None, None)


Judging = Callable[..., list[Result]]


@pytest.fixture
def judged(worker: Judge, tmp_path: Path) -> Judging:
    """Judges rows of SALES, or given files of it, under its contract changed by ``contract``."""

    def judge(
        *rows: dict[str, Any], files: Sequence[Path] | None = None, docs: Path | None = None, **contract: Any
    ) -> list[Result]:
        if files is None:
            files = [written(tmp_path / "sales.parquet", rows)] if rows else []
        return worker.ask({SALES.name: files}, {SALES.name: replace(SALES, **contract)}, docs)

    return judge

"""Builds drops for tests: rows as dicts of text, written as a source would deliver them."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from kanta.contracts import Contract
from kanta.home import Home
from kanta.landing.drops import datasets

Row = Mapping[str, str]

#: Columns of a sound row; a test names only what it is about. ``{day}`` and ``{source}`` are the drop's.
DEFAULTS: dict[str, dict[str, str]] = {
    "transactions": {
        "transaction_id": "T1", "store_id": "{source}", "register_id": "R1", "transaction_no": "1",
        "business_date": "{day}", "started_at": "{day}T10:00:00+00:00", "ended_at": "{day}T10:01:00+00:00",
        "type": "sale", "status": "completed", "currency": "USD", "net_amount": "10.00", "tax_amount": "0.00",
        "charges_amount": "0.00", "discount_amount": "0.00", "total_amount": "10.00", "offline": "false",
    },
    "lines": {
        "transaction_id": "T1", "line_no": "1", "kind": "sale", "product_id": "P", "quantity": "1",
        "unit_price": "10.00", "discount_amount": "0.00", "net_amount": "10.00", "tax_amount": "0.00",
        "voided": "false",
    },
    "tenders": {"transaction_id": "T1", "tender_no": "1", "type": "cash", "amount": "10.00", "currency": "USD"},
    "orders": {
        "order_id": "O1", "call_center_id": "{source}", "ordered_at": "{day}T09:00:00+00:00", "business_date": "{day}",
        "currency": "USD", "status": "submitted", "net_amount": "10.00", "tax_amount": "0.00",
        "charges_amount": "0.00", "discount_amount": "0.00", "total_amount": "10.00",
    },
    "order_lines": {
        "order_id": "O1", "line_no": "1", "kind": "sale", "product_id": "P", "quantity": "1", "unit_price": "10.00",
        "discount_amount": "0.00", "net_amount": "10.00", "tax_amount": "0.00", "price_overridden": "false",
    },
    "loyalty_cards": {
        "card_id": "C1", "card_type": "as_card_tender", "program_id": "club", "issued_at": "{day}T08:00:00Z",
        "enrolled_from": "{day}",
    },
    "products": {"product_id": "P", "name": "Coffee", "category_id": "ALL"},
    "customers": {
        "operation_id": "op1", "operation": "create", "mode": "sync", "operated_at": "{day}T08:00:00Z",
        "customer_id": "K1", "customer_type": "person", "last_name": "Virtanen",
    },
    "customer_contacts": {"operation_id": "op1", "kind": "email", "value": "a@example.com"},
}  # fmt: skip


def rows(dataset: str, *changes: Row) -> list[dict[str, str]]:
    """Sound rows of a dataset, one for each change to the defaults."""
    return [DEFAULTS.get(dataset, {}) | dict(change) for change in changes]


def sale(transaction_id: str, **header: str) -> dict[str, list[dict[str, str]]]:
    """One sound transaction: header, line and tender."""
    own = {"transaction_id": transaction_id}
    return {
        "transactions": rows("transactions", own | header),
        "lines": rows("lines", own),
        "tenders": rows("tenders", own),
    }


def joined(*parts: Mapping[str, Sequence[Row]]) -> dict[str, list[Row]]:
    """Several transactions or datasets as one drop's content."""
    whole: dict[str, list[Row]] = {}
    for part in parts:
        for dataset, items in part.items():
            whole.setdefault(dataset, []).extend(items)
    return whole


def write_drop(
    home: Home,
    feed: str,
    day: date,
    source: str,
    content: Mapping[str, Sequence[Row] | bytes],
    fmt: str = "csv",
    revision: int = 1,
    totals: Mapping[str, object] | None = None,
) -> Path:
    """Writes a complete drop and returns its directory.

    ``content``: rows by dataset (``{day}`` and ``{source}`` in values are filled in), or the bytes of a file by its
    name. ``fmt``: csv, ndjson or parquet, the first two also with ``.gz`` or ``.zst``.
    """
    folder = home.landing / feed / day.isoformat() / source
    folder.mkdir(parents=True, exist_ok=True)
    listed = []
    for name, items in content.items():
        if isinstance(items, bytes):
            data, count = items, max(0, len([line for line in items.splitlines() if line.strip()]) - 1)
        else:
            filled = [
                {key: value.replace("{day}", day.isoformat()).replace("{source}", source) for key, value in row.items()}
                for row in items
            ]
            data, count = encoded(datasets(feed).get(name), filled, fmt), len(filled)
            name = f"{name}.{fmt}"
        (folder / name).write_bytes(data)
        listed.append({"name": name, "rows": count, "sha256": hashlib.sha256(data).hexdigest()})
    write_control(folder, {"revision": revision, "files": listed} | ({"totals": dict(totals)} if totals else {}))
    return folder


def write_control(folder: Path, control: Mapping[str, object]) -> None:
    """Writes ``control.json`` of a drop; feed, business date and source are those of the path unless given."""
    feed, day, source = folder.parts[-3:]
    path = {"feed": feed, "business_date": day, "source": source}
    (folder / "control.json").write_text(json.dumps(path | dict(control)), encoding="utf-8")


def encoded(contract: Contract | None, items: Sequence[Row], fmt: str) -> bytes:
    """A dataset's rows as a file of the format; columns no row names are left out. No contract: nobody knows it."""
    form, _, compression = fmt.partition(".")
    known = contract.columns if contract else ()
    columns = [c.name for c in known if not c.optional or any(c.name in row for row in items)]
    columns += sorted({name for row in items for name in row} - {c.name for c in known})
    if form == "csv":
        text = io.StringIO(newline="")
        returns = any("\r" in value for row in items for value in row.values())
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\r\n" if returns else "\n")
        writer.writeheader()
        writer.writerows(items)
        data = text.getvalue().encode()
    elif form == "ndjson":
        data = "".join(json.dumps(dict(row), ensure_ascii=False) + "\n" for row in items).encode()
    else:
        arrays = {name: pa.array([row.get(name) for row in items], pa.string()) for name in columns}
        sink = io.BytesIO()
        pq.write_table(pa.table(arrays), sink)
        data = sink.getvalue()
    if compression == "gz":
        return gzip.compress(data, mtime=0)
    return zstandard.compress(data) if compression == "zst" else data

"""Slices: what a night has to work out, cut into parts of whole accounts that fit into memory one after the other.

Accounts whose documents touch each other (a card that pays another's receipt, a return of another's purchase) stand in
one slice, so that each document belongs to exactly one, and the slices together come to what the whole would.
A night is one slice. A replay of years is many: its facts are first spread over files of their own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from kanta import accounts
from kanta.contracts import contract_of
from kanta.engine import literal
from kanta.night import Night

#: About so many documents make a slice.
DOCUMENTS = 120_000

#: What is spread over files, and which of its rows: no other tender is of concern here.
_FACTS = {"sales.transactions": "true", "sales.lines": "true", "sales.tenders": "facts.type = 'loyalty'"}

#: What each slice takes its part of, and by which of its columns.
_PARTED = {
    "loyalty._touched_accounts": ("account_id", "loyalty._account_slices", "account_id"),
    "loyalty._changed_documents": ("document_id", "loyalty._document_slices", "document_id"),
    "loyalty._return_links": ("document_id", "loyalty._document_slices", "document_id"),
    "loyalty._adjustments": ("card_id", "loyalty._card_slices", "card_id"),
    "loyalty._activities": ("card_id", "loyalty._card_slices", "card_id"),
    "loyalty._transfers": ("from_card_id", "loyalty._card_slices", "card_id"),
}


def each(night: Night, keep: Sequence[str]) -> Iterator[None]:
    """Makes the slices readable one after the other in the place of the whole; what is worked out in ``keep``
    meanwhile stands for all of them at the end."""
    if _documents(night) <= DOCUMENTS:
        yield
        return
    with TemporaryDirectory(dir=night.engine.workspace, prefix=f"spill-{os.getpid()}-slices-") as folder:
        numbers = _cut(night, Path(folder))
        night.log["slices"] = len(numbers)
        for done, number in enumerate(numbers):
            if night.progress:
                night.progress("slices of accounts", done, len(numbers))
            _take(night, Path(folder), number)
            yield
            for name in keep:
                if done:
                    night.engine.execute(f"insert into {name}_of_all by name select * from {name}")
                else:
                    night.engine.define(f"{name}_of_all", f"select * from {name}")
        if night.progress:
            night.progress("slices of accounts", len(numbers), len(numbers))
    for name in keep:
        night.engine.view(name, f"select * from {name}_of_all", {})
    for table in _FACTS:
        night.engine.attach(contract_of(table), night.lake.files(table, night.state))
    for name in _PARTED:
        night.engine.define(name, f"select * exclude (slice) from {name}_of_all")
    night.define("loyalty._scope_cards")


def _documents(night: Night) -> int:
    """How many documents tonight works out; no fewer, where that decides."""
    changed, again = night.engine.rows(
        "select (select count(*) from loyalty._changed_documents),"
        " (select count(*) from loyalty._touched_accounts where again)"
    )[0]
    if not again:
        return int(changed)
    night.attach("sales.transactions")
    known = night.engine.value("select count(*) from sales.transactions")
    if changed + known > DOCUMENTS:
        known = night.engine.value(
            "select count(*) from sales.transactions"
            " where loyalty_card_id in (select card_id from loyalty._scope_cards where again)"
        )
    return int(changed + known)


def _cut(night: Night, folder: Path) -> list[int]:
    """Says which slice each account and document belongs to, and spreads the facts; the slices' numbers."""
    engine = night.engine
    night.define("loyalty._slice_links")
    parts = accounts.components(engine.rows("select node, other_node from loyalty._slice_links"))
    engine.register("loyalty._joined_nodes", accounts.texts(["node", "part"], sorted(parts.items())))
    night.define("loyalty._account_parts")
    engine.define(
        "loyalty._account_slices",
        "select account_id, part, cast(documents_before // $documents as integer) as slice from loyalty._account_parts",
        {"documents": DOCUMENTS},
    )
    night.define("loyalty._card_slices", "loyalty._document_slices")
    for name, (column, slices, key) in _PARTED.items():
        engine.define(
            f"{name}_of_all",
            f"select parted.*, coalesce(slices.slice, 0) as slice from {name} as parted"
            f" left join {slices} as slices on parted.{column} = slices.{key}",
        )
    night.attach(*_FACTS)
    for table, wanted in _FACTS.items():
        engine.execute(
            "copy (select facts.*, coalesce(slices.slice, 0) as slice"
            f" from {table} as facts left join loyalty._document_slices as slices"
            f" on facts.transaction_id = slices.document_id where {wanted})"
            f" to {literal(str(folder / table))} (format parquet, compression snappy, partition_by (slice))"
        )
    engine.execute("drop table loyalty._document_slices")
    # What belongs to no account stands in slice 0, and that one is taken even if no account is in any.
    return sorted({0, *(number for (number,) in engine.rows("select distinct slice from loyalty._account_slices"))})


def _take(night: Night, folder: Path, number: int) -> None:
    for name in _PARTED:
        night.engine.define(name, f"select * exclude (slice) from {name}_of_all where slice = {number}")
    for table in _FACTS:
        night.engine.attach(contract_of(table), sorted((folder / table).glob(f"slice={number}/*.parquet")))
    night.define("loyalty._scope_cards")

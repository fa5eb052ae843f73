"""What accounts gain that nothing was posted of before: the fold's own rows, written as they come.

Where an account is worked out again, SQL compares with what is published (``transforms/loyalty/_*_postings.sql``); for
all others there is nothing to compare, and in a replay these are most of the rows there are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from kanta.contracts import Contract
from kanta.engine import Engine, Parameters

#: What the fold leaves for each posting table.
_FOLDED = {
    "loyalty.events": "loyalty._folded_events",
    "loyalty.entries": "loyalty._folded_entries",
    "loyalty.lot_postings": "loyalty._folded_lots",
    "loyalty.allocations": "loyalty._folded_pieces",
}

#: Rows of a group in a file: what a reader skips or reads whole.
_GROUP = 122_880
#: Rows of a page, taken in at once and never parted for their size, which costs a fifth of the writing.
_PAGE, _PAGE_BYTES = 20_000, 4 << 20

#: Columns in which hardly two rows are the same: a dictionary would not make them shorter.
_NAMES = {"debit_entry_id", "document_id", "entry_id", "event_id", "lot_id", "order_document", "transaction_id"}

#: What moves points: its events are known from its entries.
_MOVED = "in ('refund', 'transfer', 'transfer_in', 'transfer_out')"


def of(engine: Engine, contract: Contract, parameters: Parameters) -> pa.Table:
    """The rows a posting table gains, in its columns and the fold's order."""
    rows = engine.registered(_FOLDED[contract.name])
    if contract.name == "loyalty.lot_postings":
        rows = _where(rows, pc.invert(rows["carried"]))
    elif contract.name == "loyalty.allocations":
        rows = _where(rows, pc.not_equal(rows["points"], pa.scalar(0, pa.decimal128(18, 2))))
    rows = _in_columns(rows, contract, parameters["seq"])
    moved = f"select count(*) from loyalty._folded_entries where entry_type {_MOVED}"
    if contract.name == "loyalty.events" and engine.value(moved):
        rows = pa.concat_tables([rows, _moved(engine, contract, parameters).cast(rows.schema)])
    return rows


def _moved(engine: Engine, contract: Contract, parameters: Parameters) -> pa.Table:
    """Events of what moved points: a few, told by their model."""
    columns = ", ".join(f'cast("{column.name}" as {column.type}) as "{column.name}"' for column in contract.columns)
    sql = f"select {columns} from loyalty._event_postings where event_type {_MOVED} order by event_id, card_id"
    return engine.arrow(sql, parameters)


def states(engine: Engine, contract: Contract, parameters: Parameters) -> pa.Table:
    """The first states of the cards just worked out: what begins each, and its open lots (``loyalty.lot_states``)."""
    lots = engine.registered("loyalty._folded_lots")
    lots = lots.filter(pc.greater(lots["remaining"], pa.scalar(0, pa.decimal128(18, 2))))
    taken = pc.subtract(lots["points"], lots["remaining"]).cast(pa.decimal128(18, 2))
    lots = _in_columns(lots.append_column("taken", taken), contract, parameters["seq"])
    cards = engine.arrow("select distinct card_id from loyalty._pools order by card_id")
    nothing = {field.name: pa.nulls(len(cards), field.type) for field in lots.schema}
    begun = {"card_id": cards["card_id"].dictionary_encode(), "seq": np.full(len(cards), parameters["seq"])}
    return pa.concat_tables([pa.table({**nothing, **begun}, lots.schema), lots])


def _in_columns(rows: pa.Table, contract: Contract, seq: int) -> pa.Table:
    made = {"seq": pa.array(np.full(len(rows), seq))}
    for name in set(contract.names) - set(rows.column_names) - set(made):
        made[name] = pa.nulls(len(rows), pa.string())
    return pa.table({name: made[name] if name in made else rows[name] for name in contract.names})


def _where(rows: pa.Table, chosen: pa.ChunkedArray) -> pa.Table:
    return rows if pc.all(chosen).as_py() in (True, None) else rows.filter(chosen)


def write(contract: Contract, rows: pa.Table, directory: Path) -> list[Path]:
    """Writes rows in their order as Parquet files, one for each partition: a month, or a value; returns the files."""
    parts, folder = rows[contract.partition].to_numpy(), contract.partition
    if contract.by_month:
        parts, folder = parts.astype("datetime64[M]"), f"{folder}_month"
    files = []
    for part in np.unique(parts):
        of_part = parts == part
        file = directory / f"{folder}={part}" / "data_0.parquet"
        file.parent.mkdir(parents=True)
        chosen = rows if of_part.all() else rows.filter(pa.array(of_part))
        few = [field.name for field in chosen.schema if field.name not in _NAMES and not pa.types.is_string(field.type)]
        for name in few:
            chosen = chosen.set_column(chosen.column_names.index(name), name, chosen[name].unify_dictionaries())
        pq.write_table(
            chosen, file, row_group_size=_GROUP, write_batch_size=_PAGE, data_page_size=_PAGE_BYTES, use_dictionary=few,
            compression="zstd", compression_level=1, store_decimal_as_integer=True, store_schema=False,
        )  # fmt: skip
        files.append(file)
    return files

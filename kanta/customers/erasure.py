"""``kanta customers erase``: blanks a person everywhere under the home (spec/3-customers.md rule 10).

The lake's data files are rewritten where they lie, so that every version of a table, old nights included, answers
with blanks; Iceberg is told anew, since its metadata holds least and greatest values. Account, GUID, cards, flags,
ledger and sales stay.
"""

from __future__ import annotations

import html
import json
from collections.abc import Collection, Iterable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from kanta import contracts, handles
from kanta.contracts import Contract
from kanta.engine import Engine, file_literal, literal
from kanta.errors import BadArguments, KantaError
from kanta.home import Home
from kanta.lake import Lake
from kanta.landing.blanking import Blanked, Looked, blank_drops
from kanta.landing.names import NAMED_BY, Names
from kanta.landing.router import raw_json
from kanta.night import Night, stage

#: Columns whose values are looked for in pages and documents; a first name or a city would be found anywhere.
_TELLING = ("email", "phone", "receipt_email", "normalized", "street")
_SHORTEST = 6

#: Where tonight's drops can bring something of a person who was erased.
_ARRIVING = ("landed.", "ops.quarantine")


def erase(home: Home, identifier: str) -> dict[str, Any]:
    """Erases the customer of an account number or GUID; returns what was done, counted.

    ``refused``: places that were not looked into, with the reason: links, and what cannot be read or written. Done
    again it changes nothing more. Raises BadArguments for an unknown customer, KantaError for a placeholder, and while
    an order of theirs is open or submitted.
    """
    from kanta import customers, distribution

    lake = Lake(home)
    state = lake.recover()
    whole = state.of_the_night() == lake.published().of_the_night()
    with stage(home, "customers", state.night, lake) as night:
        ids = _ids(night, identifier)
        _refuse_placeholders(night, ids)
        _refuse_while_ordered(night, ids)
        customers.record(night, "erasure", {f"erasure of {one}": {"id": one} for one in sorted(ids)})
        changed, looked, values = blank(home, lake, ids)
        _remember(night, looked.drops)
        customers.work_out(night)
        pages = _blank_pages(home, values, looked.refused)
    with lake.writing():
        lake.tell_iceberg_again(sorted(changed))
        if whole and lake.head().of_the_night() != state.of_the_night():
            lake.publish(state.night)
    packages = distribution.erased(home, sorted(ids), looked.refused)
    return {
        "ids": sorted(ids),
        "files": sum(len(files) for files in changed.values()),
        "drops": [drop.drop_id for drop in looked.drops],
        "pages": pages,
        "packages": len(packages),
        "refused": looked.refused,
    }


def blank_arrivals(night: Night) -> None:
    """Blanks what tonight's drops hold of customers who were erased before."""
    night.attach("ops.decisions", "landed.customers", "landed.orders", "landed.loyalty_cards", "ops.quarantine")
    night.define("customers._erasures")
    erased = night.engine.rows("select id from customers._erasures")
    if not erased:
        return
    touched = [drop for (drop,) in night.engine.rows("select drop_id from sales._touched_drops")]
    _, looked, _ = blank(night.home, night.lake, {one for (one,) in erased}, only=touched)
    _remember(night, looked.drops)


def _ids(night: Night, identifier: str) -> set[str]:
    """The account and every GUID of it. Raises BadArguments when nobody is called so."""
    night.attach("customers.account_map", "customers.customers", "landed.customers", "ops.decisions")
    rows = night.engine.rows(
        "select account, async_id from customers.account_map where account = $id or async_id = $id"
        " or account = (select account from customers.account_map where async_id = $id)",
        {"id": identifier},
    )
    found = {name for row in rows for name in row}
    known = night.engine.value(
        "select count(*) from customers.customers where account = $id or async_id = $id", {"id": identifier}
    ) or night.engine.value(
        "select count(*) from landed.customers where customer_id = $id or async_id = $id", {"id": identifier}
    )
    if not found and not known:
        raise BadArguments(
            f"There is no customer {identifier}",
            where="customers.customers",
            next_step='kanta query "select account, async_id from customers.account_map" lists GUIDs with accounts',
        )
    return found | {identifier}


def _refuse_placeholders(night: Night, ids: Collection[str]) -> None:
    night.attach("sales._placeholders")
    night.define("customers._placeholder_accounts")
    if found := [
        one for (one,) in night.engine.rows("select account from customers._placeholder_accounts") if one in ids
    ]:
        raise KantaError(
            f"{found[0]} stands for nobody, so there is no person to erase",
            where="sales.placeholder_customers",
            next_step="if it is a person after all: deliver the channel with another default_customer_id, or take it"
            " out of the programme's placeholder_customers; then kanta run, and erase again",
        )


def _refuse_while_ordered(night: Night, ids: Collection[str]) -> None:
    night.attach("landed.orders")
    open_orders = night.engine.rows(
        "select order_id, status from landed.orders where customer_id in (select unnest($ids))"
        " qualify row_number() over (partition by order_id order by drop_date desc, drop_id desc) = 1",
        {"ids": sorted(ids)},
    )
    waiting = sorted(order for order, status in open_orders if status in ("open", "submitted"))
    if waiting:
        raise KantaError(
            f"The customer has {len(waiting)} orders that are open or submitted and cannot be erased",
            where=", ".join(waiting[:5]),
            next_step="erase them once the orders are invoiced or cancelled",
        )


# ── the lake ─────────────────────────────────────────────────────────────────────────────────────────────────────


def blank(
    home: Home, lake: Lake, ids: Collection[str], only: Collection[str] | None = None
) -> tuple[dict[str, list[Path]], Looked, set[str]]:
    """Blanks lake files and drops; returns the files by table, what of landing, and telling values that were there.

    ``only``: drops that brought something new of a person erased before; then only what is landed is looked at.
    """
    with Engine(lake.root / "work" / "erasure") as engine:
        engine.con.execute("set preserve_insertion_order = true")
        names = _names(engine, lake, ids)
        tables = {
            name: contract
            for name, contract in {**contracts.lake(), **contracts.landed()}.items()
            if contract.kind != "view" and (only is None or name.startswith(_ARRIVING))
        }
        values: set[str] = set()
        changed = {name: files for name in tables if (files := _blank_table(engine, lake, tables[name], values))}
    return changed, blank_drops(home, names, only, values), values


def _data_files(lake: Lake, table: str) -> list[Path]:
    """Every data file that lies there, of whatever version."""
    return sorted((lake.directory(table) / "data").rglob("*.parquet"))


def _names(engine: Engine, lake: Lake, ids: Collection[str]) -> Names:
    """Finds all names of the person, and keeps them as the tables ``erased.*`` of the engine."""
    for table in ("landed.customers", "landed.orders", "landed.loyalty_cards", "ops.quarantine"):
        engine.attach(contracts.contract_of(table), _data_files(lake, table))
    engine.register("erased.ids", pa.table({"id": pa.array(sorted(ids), pa.string())}))
    naming = [raw_json({column: one})[1:-1] for column in ("customer_id", "async_id") for one in sorted(ids)]
    engine.register("erased.naming", pa.table({"text": pa.array(naming, pa.string())}))
    refused = (
        "select record_key as id from ops.quarantine"
        " where exists (select 1 from erased.naming where contains(ops.quarantine.raw, naming.text))"
    )
    ours = "in (select id from erased.ids)"
    found = {
        "operations": "select operation_id as id from landed.customers"
        f" where customer_id {ours} or async_id {ours} union {refused}",
        "orders": f"select order_id as id from landed.orders where customer_id {ours} union {refused}",
        "cards": f"select card_id as id from landed.loyalty_cards where customer_id {ours}",
    }
    for name, query in found.items():
        engine.define(f"erased.{name}", query)
    listed = {
        name: frozenset(one for (one,) in engine.rows(f"select id from erased.{name} where id <> ''"))
        for name in ("ids", *found)
    }
    return Names(**listed)


def _theirs(contract: Contract) -> str:
    """The SQL condition that a row of the table is the person's; empty when none can be."""
    parts = [
        f'"{column}" in (select id from erased.{NAMED_BY[column]})' for column in contract.names if column in NAMED_BY
    ]
    if "record_key" in contract.names:
        parts.append("record_key in (select id from erased.operations union select id from erased.orders)")
    return " or ".join(parts)


def _blank_table(engine: Engine, lake: Lake, contract: Contract, values: set[str]) -> list[Path]:
    """Rewrites those data files of a table that hold the person, in place; adds telling values to ``values``."""
    personal = [column.name for column in contract.columns if column.personal]
    theirs, files = _theirs(contract), _data_files(lake, contract.name)
    if not personal or not theirs or not files:
        return []
    filled = " or ".join(f'"{name}" is not null' for name in personal)
    source = f"read_parquet([{_listed(files)}], filename = true, hive_partitioning = false, union_by_name = true)"
    where = f"({theirs}) and ({filled})"
    hit = [Path(name) for (name,) in engine.rows(f"select distinct filename from {source} where {where} order by 1")]
    for name in (name for name in personal if name in _TELLING and hit):
        values |= {
            value
            for (value,) in engine.rows(
                f'select distinct "{name}" from {source} where {where} and "{name}" is not null'
            )
            if len(value) >= _SHORTEST
        }
    for file in hit:
        blanks = ", ".join(f'case when {theirs} then null else "{name}" end as "{name}"' for name in personal)
        with TemporaryDirectory(dir=file.parent, prefix=".erasing-") as folder:  # of a name nobody can foresee
            fresh = Path(folder) / file.name
            engine.execute(
                f"copy (select * replace ({blanks}) from read_parquet({file_literal(file)}, hive_partitioning = false))"
                f" to {literal(str(fresh))} (format parquet, compression zstd)"
            )
            lake.rewrite(contract.name, file, fresh)
    return hit


def _listed(files: Iterable[Path]) -> str:
    return ", ".join(map(file_literal, files))


def _remember(night: Night, drops: list[Blanked]) -> None:
    """Keeps the drops' new hashes, so that they are not taken again."""
    if not drops:
        return
    night.attach("ops.drops")
    rows = [{"drop_id": d.drop_id, "sha": d.control_sha256, "stamp": d.stamp, "files": d.files} for d in drops]
    night.engine.register("customers._blanked", pa.Table.from_pylist(rows))
    days = "select business_date from ops.drops where drop_id in (select drop_id from customers._blanked)"
    partitions = [day for (day,) in night.engine.rows(f"select distinct business_date from ({days})")]
    if partitions:
        night.put(
            "ops.drops",
            "select drops.* replace (coalesce(blanked.sha, control_sha256) as control_sha256,"
            " case when blanked.stamp is null or drops.stamp = '' then drops.stamp else blanked.stamp end as stamp,"
            " coalesce(blanked.files, drops.files) as files) from ops.drops as drops"
            " left join customers._blanked as blanked on drops.drop_id = blanked.drop_id"
            f" where drops.business_date in ({days})",
            partitions,
        )


def _blank_pages(home: Home, values: Collection[str], refused: list[str]) -> int:
    """Takes telling values out of pages and documents, should one hold any; returns how many were changed."""
    changed = 0
    told = [
        written.encode()
        for value in sorted(values, key=len, reverse=True)
        for written in dict.fromkeys((value, json.dumps(value)[1:-1], html.escape(value)))
    ]
    with suppress(FileNotFoundError), handles.folder(home.root, home.reports.name) as reports:
        for folder, name, path in handles.files(reports):
            try:
                before = after = handles.read(folder, name)
                for value in told:
                    after = after.replace(value, b"")
                if after != before:
                    handles.write(folder, name, after)
                    changed += 1
            except OSError as error:
                refused.append(f"{home.reports.name}/{path}: {error.strerror or error}")
    return changed

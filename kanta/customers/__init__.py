"""The customer master: what channels did to customers, made into one clean record of each (spec/3-customers.md).

All rules are SQL in ``transforms/customers``; here is their order, the numbers given to customers made offline, and
what is read with libraries: email addresses, phone numbers, typed attributes. Only customers whom tonight's drops
concern are worked out: from what is known of them where tonight only adds to it, else from all their operations. It is
written beside what was known of them; the views ``customers.*`` show what counts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import date

import pyarrow as pa

from kanta.customers import checking
from kanta.night import Night

#: What tells who is to be worked out again tonight, in order.
CONCERNED = (
    "customers._changed_references", "customers._touched_operations", "customers._defaults",
    "customers._known_operations", "customers._named_ids", "customers._touched_ids", "customers._continued",
)  # fmt: skip
#: Their operations, judged by themselves.
JUDGED = ("customers._landed_operations", "customers._judged")
#: From operations to the columns of customers, and their addresses.
FOLDED = (
    "customers._concerned", "customers._operations", "customers._gone", "customers._own_changes",
    "customers._unsettled", "customers._own_states", "customers._creations", "customers._changes",
    "customers._states", "customers._customer_history", "customers._held_addresses",
    "customers._address_history", "customers._earlier_contacts", "customers._contact_events",
    "customers._known_values", "customers._unchecked_values", "customers._attribute_values",
)  # fmt: skip
#: What needs values that were read with libraries.
READ = (
    "customers._checked_values", "customers._contact_history", "customers._attribute_history",
    "customers._own_affiliations", "customers._affiliation_history", "customers._operation_audit",
    "customers._failures",
)  # fmt: skip
#: What tonight adds: table -> the step whose rows of tonight's customers it gains.
WRITTEN = {
    "customers.customer_versions": "customers._customer_history",
    "customers.contact_versions": "customers._contact_history",
    "customers.address_versions": "customers._address_history",
    "customers.attribute_versions": "customers._attribute_history",
    "customers.affiliation_versions": "customers._affiliation_history",
    "customers.operation_versions": "customers._operation_audit",
}

#: When a version in them ends; one that has is not written again while its customer is only added to.
ENDS = {
    "customers.customer_versions": "valid_to", "customers.contact_versions": "valid_to",
    "customers.address_versions": "known_to", "customers.attribute_versions": "valid_to",
    "customers.affiliation_versions": "known_to", "customers.operation_versions": "",
}  # fmt: skip

#: A customer with more addresses than this is told of (spec/3-customers.md rule 5), and one with more contacts.
CROWDED = 1_000

#: Why an operation or an attribute is set aside, in words; the rules of spec 3-customers.
REASONS = {
    "no_type": "neither the operation nor its channel's default customer says whether it is a person or organization",
    "no_name": "a person needs a first or last name, an organization its own",
    "no_id": "a synchronous operation needs an account number, an asynchronous one that or a GUID",
    "guid_taken": "the GUID is another account's",
    "unknown_channel": "headquarters knows no such channel",
    "unknown_group": "headquarters knows no such customer group",
    "erased": "the customer was erased before it came",
    checking.UNDEFINED: "no definition says what this attribute is",
    checking.WRONG_TYPE: "the value is not of the attribute's type",
    checking.NOT_ALLOWED: "the value is none of those the attribute allows",
    checking.OUT_OF_RANGE: "the value is below the attribute's minimum or above its maximum",
}


def work_out(night: Night) -> None:
    """Works out the customers whom tonight's drops concern and writes them; nothing new writes nothing."""
    engine = night.engine
    night.define("sales._touched_drops", "customers._erasures")
    if engine.value("select count(*) from sales._touched_drops"):
        from kanta.customers import erasure

        erasure.blank_arrivals(night)
    elif not engine.value("select count(*) from customers._erasures where seq > $since", night.parameters):
        return
    engine.define("customers._time_zones", "select name as time_zone from pg_timezone_names()")
    _note_highest(night)
    night.define(*CONCERNED, *JUDGED)
    _give_accounts(night)
    if not engine.value("select count(*) from customers._touched_ids"):
        return
    night.define(*FOLDED)
    _read_contacts(night)
    _read_attributes(night)
    night.define(*READ)
    _tell_crowded(night)
    night.log["customers"] = int(engine.value("select count(*) from customers._concerned"))
    for table, step in WRITTEN.items():
        _add(night, table, step)
    _set_aside(night)
    _find_duplicates(night)


def _tell_crowded(night: Night) -> None:
    """Counts tonight's customers with more addresses or contacts than people have; all of them are kept."""
    for what, step, one in (
        ("addresses", "customers._address_history", "address_id"),
        ("contacts", "customers._contact_history", "contact_no"),
    ):
        crowded = night.engine.value(
            f"select count(*) from (select account from {step} where account in (select id from customers._concerned)"
            f" group by account having count(distinct {one}) > {CROWDED})"
        )
        if crowded:
            night.log[f"over_{CROWDED}_{what}"] = int(crowded)


def _add(night: Night, table: str, step: str) -> None:
    """Adds the versions of tonight's customers; default customers come along only when they are such."""
    owner = "owner" if table == "customers.operation_versions" else "account"
    concerned = (
        f"select *, {night.seq} as seq, date '{night.business_date}' as recorded_on from {step}"
        f" where {owner} in (select id from customers._concerned) or {owner} like 'operation %'"
    )
    if night.engine.value(f"select count(*) from ({concerned})"):
        night.append(table, concerned, night.business_date)


# ── accounts for GUIDs ───────────────────────────────────────────────────────────────────────────────────────────

#: Where account numbers are seen.
_SEEN = {
    "landed.customers": "customer_id",
    "landed.loyalty_cards": "customer_id",
    "landed.transactions": "customer_id",
    "landed.orders": "customer_id",
    "landed.channels": "default_customer_id",
}


def _note_highest(night: Night) -> None:
    """Keeps the numbers tonight's drops name, by their date: a new account gets one above any seen by then."""
    night.attach(*_SEEN, "ops.decisions", "customers.account_map")
    numbers = " union all ".join(
        f"select drop_date, cast(substr({column}, 2) as bigint) as number from {table}"
        f" where drop_id in (select drop_id from sales._touched_drops)"
        f" and regexp_full_match({column}, 'C[0-9]{{1,15}}')"
        for table, column in _SEEN.items()
    )
    night.engine.define(
        "customers._seen_numbers", f"select drop_date, max(number) as number from ({numbers}) group by drop_date"
    )


def _give_accounts(night: Night) -> None:
    """Gives tonight's GUIDs their accounts, as decisions: headquarters' word first, then numbers in their order.

    Drops of several nights are taken night by night, so that a range gives what single nights would.
    """
    engine = night.engine
    waiting = engine.rows(
        "select greatest(drop_date, cast($published_date as date) + 1), operated_at, operation_id, async_id,"
        " customer_id from customers._judged where own_reason is null and async_id is not null"
        " and (customer_id is not null or (operation = 'create' and mode = 'async'))"
        " and async_id not in (select async_id from customers.account_map) order by 1, 2, 3",
        night.parameters,
    )
    seen = engine.rows(
        "select greatest(drop_date, cast($published_date as date) + 1), number from customers._seen_numbers"
        " order by 1, 2",
        night.parameters,
    )
    noted = int(
        engine.value(
            "select coalesce(max(cast(json_extract_string(content, '$.number') as bigint)), 0) from ops.decisions"
            " where kind = 'highest_account'"
        )
    )
    highest, given = noted, dict[str, dict[str, str]]()
    for day in sorted({row[0] for row in waiting} | {row[0] for row in seen}):
        highest = max([highest, *(number for on, number in seen if on == day)])
        tonight = [row for row in waiting if row[0] == day and row[3] not in given]
        for _, _, _, guid, account in tonight:
            if account is not None and guid not in given:
                given[guid] = _given(guid, account, min(day, night.business_date), "hq")
        for _, _, _, guid, _ in sorted(tonight, key=lambda row: (row[1], row[3])):
            if guid not in given:
                highest += 1
                given[guid] = _given(guid, f"C{highest:08}", min(day, night.business_date), "sequence")
    decisions: dict[str, dict[str, str]] = {f"account of {guid}": content for guid, content in given.items()}
    record(night, "account", decisions)
    if highest > noted:
        record(night, "highest_account", {f"highest account {highest:015}": {"number": str(highest)}})
    night.log["accounts_given"] = len(given)


def _given(guid: str, account: str, day: date, by: str) -> dict[str, str]:
    return {"async_id": guid, "account": account, "given_on": day.isoformat(), "given_by": by}


def record(night: Night, kind: str, decisions: Mapping[str, Mapping[str, str]]) -> None:
    """Records decisions of a kind by their ids, those that are not recorded already."""
    rows = [
        {
            "decision_id": identifier,
            "kind": kind,
            "recorded_on": night.business_date,
            "content": json.dumps(content),
            "seq": night.seq,
        }
        for identifier, content in decisions.items()
    ]
    if not rows:
        return
    night.attach("ops.decisions")
    night.engine.register("ops._recorded", pa.Table.from_pylist(rows))
    new = "select * from ops._recorded where decision_id not in (select decision_id from ops.decisions)"
    if night.engine.value(f"select count(*) from ({new})"):
        night.append("ops.decisions", new)
        night.attach("ops.decisions")


# ── what libraries read ──────────────────────────────────────────────────────────────────────────────────────────


def _read_contacts(night: Night) -> None:
    found = night.engine.execute("select kind, value, country from customers._unchecked_values")
    read = []
    while rows := found.fetchmany(50_000):  # a first night brings millions
        columns = zip(*((*row, *checking.contact(*row)) for row in rows), strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, _READ_VALUES, strict=True)]
        read.append(pa.record_batch(arrays, _READ_VALUES))
    night.engine.register("customers._read_values", pa.Table.from_batches(read, _READ_VALUES))


_READ_VALUES = pa.schema(
    {
        "kind": pa.string(), "value": pa.string(), "country": pa.string(), "normalized": pa.string(),
        "is_valid": pa.bool_(),
    }
)  # fmt: skip
_CHECKED_ATTRIBUTES = pa.schema(
    {
        name: pa.string()
        for name in (
            "attribute", "value", "type", "allowed_values", "minimum", "maximum", "canonical", "reason",
        )
    }
)  # fmt: skip


def _read_attributes(night: Night) -> None:
    rows = night.engine.rows(
        "select distinct attribute, value, type, allowed_values, minimum, maximum from customers._attribute_values"
    )
    night.engine.register(
        "customers._checked_attributes",
        pa.Table.from_pylist(
            [dict(zip(_CHECKED_ATTRIBUTES.names, (*row, *checking.attribute(*row[1:])), strict=True)) for row in rows],
            _CHECKED_ATTRIBUTES,
        ),
    )


# ── what is set aside, and who may be one ────────────────────────────────────────────────────────────────────────


def _set_aside(night: Night) -> None:
    """Puts failed operations and refused attributes into quarantine; those that count now leave it."""
    night.attach("ops.quarantine")
    found = night.engine.rows(
        "select dataset, operation_id, drop_id, file, line, rule, attribute, revision from customers._failures"
    )
    refused = []
    for dataset, operation, drop, file, line, rule, attribute, revision in found:
        feed, day, source = drop.split("/", 2)
        refused.append(
            {
                "quarantine_id": hashlib.sha256(f"{drop}|{revision}|{file}|{line}|{rule}".encode()).hexdigest()[:16],
                "feed": feed,
                "business_date": date.fromisoformat(day),
                "source": source,
                "file": file,
                "line": line,
                "dataset": dataset,
                "record_key": operation,
                "level": "transaction",
                "rule": rule,
                "reason": f"{attribute}: {REASONS[rule]}" if attribute else REASONS[rule],
                "status": "open",
                "drop_id": drop,
                "revision": revision,
                "raw": None,
                "seq": night.seq,
            }
        )
    night.log["set_aside"] = len(refused)
    schema = pa.schema([(name, pa.date32() if name == "business_date" else _type_of(name)) for name in _REFUSED])
    night.engine.register("customers._refused", pa.Table.from_pylist(refused, schema))
    rules = ", ".join(f"'{rule}'" for rule in REASONS)
    stale = (
        f"dataset in ('customers', 'customer_attributes') and rule in ({rules}) and status = 'open'"
        " and record_key in (select operation_id from customers._landed_operations)"
        " and quarantine_id not in (select quarantine_id from customers._refused)"
    )
    known = "select quarantine_id from ops.quarantine"
    days = (
        f"select business_date from ops.quarantine where {stale} union"
        f" select business_date from customers._refused where quarantine_id not in ({known})"
    )
    changed = [day for (day,) in night.engine.rows(days)]
    if changed:
        night.put(
            "ops.quarantine",
            f"select * replace (case when {stale} then 'superseded' else status end as status)"
            f" from ops.quarantine where business_date in ({days}) union all by name"
            f" select * from customers._refused where business_date in ({days}) and quarantine_id not in ({known})",
            changed,
        )


_REFUSED = (
    "quarantine_id", "feed", "business_date", "source", "file", "line", "dataset", "record_key", "level", "rule",
    "reason", "status", "drop_id", "revision", "raw", "seq",
)  # fmt: skip


def _type_of(name: str) -> pa.DataType:
    return pa.int64() if name in ("line", "revision", "seq") else pa.string()


def _find_duplicates(night: Night) -> None:
    night.attach("customers.customer_versions", "customers.contact_versions", "customers.likely_duplicates")
    from kanta import models

    model = models.models()["customers.likely_duplicates"]
    night.attach(*(name for name in model.inputs if not name.split(".")[1].startswith("_")))
    night.engine.define("customers._duplicates_now", model.sql, night.parameters)
    before, now = "select * from customers.likely_duplicates", "select * from customers._duplicates_now"
    difference = f"({before} except {now}) union all ({now} except {before})"
    if night.engine.value(f"select count(*) from ({difference})"):
        night.put("customers.likely_duplicates", now, ["all"])
    night.log["likely_duplicates"] = int(
        night.engine.value(
            "select count(*) from (select distinct account, other_account from customers._duplicates_now)"
        )
    )


def forget_superseded(night: Night) -> int:
    """Drops versions that no longer count from tables of which they are more than a third; returns how many.

    So a night never reads much more of them than of those that count. Readers of earlier nights keep their files, as
    with any table that was changed.
    """
    if "customers.customer_versions" not in night.state.tables:
        return 0
    night.attach(*WRITTEN)
    night.define("customers._newest")
    forgotten = 0
    for table in WRITTEN:
        owner = "owner" if table == "customers.operation_versions" else "account"
        standing = (
            f"versions.seq = newest.seq or versions.{end} < date '9999-12-31'" if (end := ENDS[table]) else "true"
        )
        joined = (
            f"(select versions.*, versions.seq >= newest.whole_seq and ({standing}) as counts from {table}"
            f" as versions left join customers._newest as newest on versions.{owner} = newest.account)"
        )
        ((rows, kept),) = night.engine.rows(f"select count(*), count(*) filter (where counts) from {joined}")
        if 2 * rows <= 3 * kept:
            continue
        stale = [
            day for (day,) in night.engine.rows(f"select distinct recorded_on from {joined} where counts is not true")
        ]
        listed = ", ".join(f"date '{day}'" for day in stale)
        night.put(table, f"select * exclude (counts) from {joined} where counts and recorded_on in ({listed})", stale)
        forgotten += rows - kept
    return forgotten

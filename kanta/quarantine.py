"""``kanta quarantine``: what was refused, why; putting it through again, corrected, or dismissing it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import pyarrow as pa

from kanta import decisions, landing
from kanta.engine import Engine
from kanta.errors import BadArguments, KantaError
from kanta.home import Home
from kanta.lake import Lake
from kanta.night import Night
from kanta.reading import as_table, rows_of

Row = dict[str, Any]

#: Never the row itself: it may hold personal values. ``show`` gives it to whoever asks for one.
_LISTED = "quarantine_id, drop_id, file, line, dataset, record_key, level, rule, reason, status"
_ALL = f"{_LISTED}, feed, business_date, source, revision, raw"


def listed(home: Home, status: str | None = "open") -> list[Row]:
    """Refused rows and drops, oldest first; ``status`` open, released, dismissed or superseded, None for all."""
    return _rows(home, f"select {_LISTED} from ops.quarantine where status = coalesce($status, status)", status=status)


def effects(home: Home, status: str | None = "open") -> list[Row]:
    """Sales that stand without their effect on points, in the form of ``listed``."""
    return [
        dict.fromkeys(_LISTED.split(", "))
        | {"quarantine_id": found["exception_id"], "record_key": found["transaction_id"], "level": "effect"}
        | {"rule": found["reason"], "reason": found["detail"], "status": found["status"]}
        for found in decisions.exceptions(home)
        if status in (found["status"], None)
    ]


def one(home: Home, identifier: str) -> Row:
    """One refused row with its values as they came, or one effect on points. Raises BadArguments.

    ``identifier`` of a row may be cut short; of an effect it is transaction/card/reason.
    """
    if effect := decisions.exceptions(home, identifier):
        return effect[0]
    return _named(
        _rows(home, f"select {_ALL} from ops.quarantine where starts_with(quarantine_id, $id)", id=identifier),
        identifier,
    )


def dismiss(
    home: Home,
    identifiers: Sequence[str],
    why: str,
    *,
    rule: str | None = None,
    source: str | None = None,
    day: date | None = None,
) -> list[Row]:
    """Closes what will not be released: open rows and effects on points of these ids, of this rule (an effect's
    reason), source and business date; returns them. The rows of one record are closed together, for they are released
    together. Recorded as a decision; nothing but their status changes, and they can still be released.

    Raises BadArguments for an id that names none of them, or when nothing at all is asked for.
    """
    if not why.strip():
        raise BadArguments("A dismissal needs its reason", next_step='--reason "what was found out"')
    if not (identifiers or rule or source or day):
        raise BadArguments(
            "Nothing to dismiss is named", next_step="kanta quarantine dismiss ID, --rule, --source or --date"
        )
    asked = " and rule = coalesce($rule, rule) and source = coalesce($source, source)"
    asked += " and business_date = coalesce($day, business_date)"
    open_rows = _rows(
        home, f"select {_ALL} from ops.quarantine where status = 'open'{asked}", rule=rule, source=source, day=day
    )
    open_effects = [
        found
        for found in decisions.exceptions(home)
        if found["status"] == "open"
        and rule in (found["reason"], None)
        and source in (found["source"], None)
        and day in (found["business_date"], None)
    ]
    if identifiers:
        effects_by_id = {found["exception_id"]: found for found in open_effects}
        open_effects = [effects_by_id[identifier] for identifier in identifiers if identifier in effects_by_id]
        open_rows = [
            _named([row for row in open_rows if row["quarantine_id"].startswith(identifier)], identifier)
            for identifier in identifiers
            if identifier not in effects_by_id
        ]
    whole = _with_companions(home, open_rows)
    if whole:
        content = {"quarantine_ids": sorted(row["quarantine_id"] for row in whole), "why": why}
        _mark(home, whole, "dismissed", content)
    decisions.dismiss(home, open_effects, why)
    return whole + open_effects


def _with_companions(home: Home, rows: Sequence[Row]) -> list[Row]:
    """These rows, and all others of their records that are open."""
    records = {(row["drop_id"], row["record_key"]) for row in rows if row["record_key"] is not None}
    named = {row["quarantine_id"] for row in rows}
    return [
        row
        for row in _rows(home, f"select {_ALL} from ops.quarantine where status = 'open'")
        if row["quarantine_id"] in named
        or ((row["drop_id"], row["record_key"]) in records and row["rule"] != "copy_differs")
    ]


def _named(found: Sequence[Row], identifier: str) -> Row:
    if len(found) == 1:
        return found[0]
    what = f"{identifier} fits {len(found)} rows" if found else f"There is nothing called {identifier} in quarantine"
    raise BadArguments(what, where="ops.quarantine", next_step="kanta quarantine list --status all")


def release(home: Home, identifier: str, corrections: Mapping[str, str]) -> str:
    """Puts a refused record through again with ``corrections`` (column: value); returns what to do next.

    An effect on points (transaction/card/reason) is posted at once, as a recorded decision. A record becomes a drop of
    its own beside the one it came in, which the next run takes. A refused drop is looked at again as it stands now.
    Raises BadArguments and KantaError.
    """
    row = one(home, identifier)
    if "exception_id" in row:
        return decisions.release(home, row)
    if row["status"] not in ("open", "dismissed"):
        raise BadArguments(f"{row['quarantine_id']} is {row['status']} already", next_step="kanta quarantine list")
    if row["rule"] == "copy_differs":
        raise KantaError(
            "A copy that differs is not released: the copy that came first counts",
            where=f"{row['drop_id']}/{row['file']} line {row['line']}",
            next_step="to change what counts, deliver the first drop again with a higher revision",
        )
    if row["level"] in ("drop", "file"):
        _mark(home, [row], "released")
        return f"{row['drop_id']} is looked at again by the next: kanta run --date D"
    refused = _rows(
        home,
        f"select {_ALL} from ops.quarantine where drop_id = $drop and record_key is not distinct from $key"
        " and status = $status and rule <> 'copy_differs'",
        drop=row["drop_id"],
        key=row["record_key"],
        status=row["status"],
    )
    refused.sort(key=lambda other: other["quarantine_id"] != row["quarantine_id"])
    path = landing.release(home, refused, {row["quarantine_id"]: dict(corrections)})
    _mark(home, refused, "released")
    return f"{len(refused)} rows stand in {path.relative_to(home.root)}; the next run takes them: kanta run --date D"


def table(rows: list[Row]) -> str:
    """The listing as aligned text, with how to go on."""
    if not rows:
        return "Nothing stands in quarantine."
    columns = ["quarantine_id", "drop_id", "file", "line", "rule", "reason", "status"]
    text = as_table(columns, [tuple(row[column] for column in columns) for row in rows])
    return (
        text + f"{len(rows)} rows. next: kanta quarantine show ID, then kanta quarantine release ID --set COLUMN=VALUE,"
        ' or kanta quarantine dismiss ID --reason "..."'
    )


def _rows(home: Home, sql: str, **parameters: Any) -> list[Row]:
    return rows_of(
        home, ["ops.quarantine"], f"{sql} order by business_date, drop_id, file, line, quarantine_id", parameters
    )


def _mark(home: Home, rows: Sequence[Row], status: str, decision: Mapping[str, Any] | None = None) -> None:
    """Gives rows another status, and records why; readers see it at once unless a night is half-way."""
    lake = Lake(home)
    with lake.writing():
        head = lake.recover()
        whole = head.of_the_night() == lake.published().of_the_night()
        with Engine(lake.root / "work", shared=True) as engine:
            night = Night(home, lake, engine, "quarantine", head, head.night)
            night.attach("ops.quarantine")
            engine.register(
                "ops._marked", pa.Table.from_pylist([{"quarantine_id": row["quarantine_id"]} for row in rows])
            )
            marked = "quarantine_id in (select quarantine_id from ops._marked)"
            days = f"select distinct business_date from ops.quarantine where {marked}"
            night.put(
                "ops.quarantine",
                f"select * replace (case when {marked} then '{status}' else status end as status)"
                f" from ops.quarantine where business_date in ({days})",
                [day for (day,) in engine.rows(days)],
            )
            if decision:
                decisions.record(night, "dismissal", {f"dismiss {min(decision['quarantine_ids'])}": decision})
            lake.move_head(replace(night.state, seq=night.seq))
        if whole:
            lake.publish(head.night)

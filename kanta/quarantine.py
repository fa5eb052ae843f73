"""``kanta quarantine``: what was refused, why, and putting it through again, corrected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kanta import decisions, landing
from kanta.engine import Engine
from kanta.errors import BadArguments, KantaError
from kanta.home import Home
from kanta.lake import Lake
from kanta.night import Night
from kanta.reading import as_table, open_lake

Row = dict[str, Any]

#: Never the row itself: it may hold personal values. ``show`` gives it to whoever asks for one.
_LISTED = "quarantine_id, drop_id, file, line, dataset, record_key, level, rule, reason, status"
_ALL = f"{_LISTED}, feed, business_date, source, revision, raw"


def listed(home: Home, status: str | None = "open") -> list[Row]:
    """Refused rows and drops, oldest first; ``status`` open, released or superseded, None for all."""
    where = " where status = $status" if status else ""
    order = " order by business_date, drop_id, file, line, quarantine_id"
    return _rows(home, f"select {_LISTED} from ops.quarantine{where}{order}", {"status": status})


def effects(home: Home) -> list[Row]:
    """Sales that stand without their effect on points, in the form of ``listed``; a release posts the effect."""
    return [
        dict.fromkeys(_LISTED.split(", "))
        | {"quarantine_id": found["exception_id"], "record_key": found["transaction_id"], "level": "effect"}
        | {"rule": found["reason"], "reason": found["detail"], "status": "open"}
        for found in decisions.exceptions(home)
    ]


def one(home: Home, identifier: str) -> Row:
    """One refused row with its values as they came; an id may be cut short. Raises BadArguments."""
    found = _rows(
        home,
        f"select {_ALL} from ops.quarantine where starts_with(quarantine_id, $id) order by quarantine_id",
        {"id": identifier},
    )
    if len(found) != 1:
        what = (
            f"There is nothing called {identifier} in quarantine"
            if not found
            else f"{identifier} fits {len(found)} rows"
        )
        raise BadArguments(what, where="ops.quarantine", next_step="kanta quarantine list --status all")
    return found[0]


def release(home: Home, identifier: str, corrections: Mapping[str, str]) -> str:
    """Puts a refused record through again with ``corrections`` (column: value); returns what to do next.

    An effect on points (transaction/card/reason) is posted at once, as a recorded decision. A record becomes a drop of
    its own beside the one it came in, which the next run takes. A refused drop is looked at again as it stands now.
    Raises BadArguments and KantaError.
    """
    exception = decisions.find(home, identifier)
    if exception is not None:
        return decisions.release(home, exception)
    row = one(home, identifier)
    if row["status"] != "open":
        raise BadArguments(f"{row['quarantine_id']} is {row['status']} already", next_step="kanta quarantine list")
    if row["rule"] == "copy_differs":
        raise KantaError(
            "A copy that differs is not released: the copy that came first counts",
            where=f"{row['drop_id']}/{row['file']} line {row['line']}",
            next_step="to change what counts, deliver the first drop again with a higher revision",
        )
    if row["level"] in ("drop", "file"):
        _mark(home, [row["quarantine_id"]])
        return f"{row['drop_id']} is looked at again by the next: kanta run --date D"
    refused = _rows(
        home,
        f"select {_ALL} from ops.quarantine where drop_id = $drop and record_key is not distinct from $key"
        " and status = 'open' and rule <> 'copy_differs' order by quarantine_id",
        {"drop": row["drop_id"], "key": row["record_key"]},
    )
    refused.sort(key=lambda other: other["quarantine_id"] != row["quarantine_id"])
    path = landing.release(home, refused, {row["quarantine_id"]: dict(corrections)})
    _mark(home, [other["quarantine_id"] for other in refused])
    return f"{len(refused)} rows stand in {path.relative_to(home.root)}; the next run takes them: kanta run --date D"


def table(rows: list[Row]) -> str:
    """The listing as aligned text, with how to go on."""
    if not rows:
        return "Nothing stands in quarantine."
    columns = ["quarantine_id", "drop_id", "file", "line", "rule", "reason", "status"]
    text = as_table(columns, [tuple(row[column] for column in columns) for row in rows])
    return (
        text + f"{len(rows)} rows. next: kanta quarantine show ID, then kanta quarantine release ID --set COLUMN=VALUE"
    )


def _rows(home: Home, sql: str, parameters: Mapping[str, Any]) -> list[Row]:
    engine, _ = open_lake(home, ["ops.quarantine"])
    with engine:
        result = engine.execute(sql, parameters)
        columns = [column[0] for column in result.description or []]
        return [dict(zip(columns, row, strict=True)) for row in result.fetchall()]


def _mark(home: Home, identifiers: list[str]) -> None:
    """Says in the lake that they were released; readers see it at once unless a night is half-way."""
    lake = Lake(home)
    with lake.writing():
        head = lake.recover()
        whole = head.of_the_night() == lake.published().of_the_night()
        with Engine(lake.root / "work", shared=True) as engine:
            night = Night(home, lake, engine, "quarantine", head, head.night)
            night.attach("ops.quarantine")
            listed_ids = ", ".join(f"'{identifier}'" for identifier in identifiers)
            days = f"select distinct business_date from ops.quarantine where quarantine_id in ({listed_ids})"
            night.put(
                "ops.quarantine",
                f"select * replace (case when quarantine_id in ({listed_ids}) then 'released' else status end"
                " as status)"
                f" from ops.quarantine where business_date in ({days})",
                [day for (day,) in engine.rows(days)],
            )
            lake.move_head(replace(night.state, seq=night.seq))
        if whole:
            lake.publish(head.night)

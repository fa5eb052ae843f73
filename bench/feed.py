"""The bench feed: the whole Complete Journey as a year of drops, with a plain programme, in a home of its own.

    python bench/feed.py --out DIR              457 stores, 364 business dates, 38,410 store-days, 1,469,307 lines
    KANTA_HOME=DIR kanta run --from 2017-01-01 --to 2017-12-31

``--night`` keeps the last date's drops aside in DIR/next/, to be moved into DIR/landing/ as one further night.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

REPOSITORY = Path(__file__).parent.parent
sys.path.insert(0, str(REPOSITORY))

from kanta.errors import BadArguments, KantaError  # noqa: E402
from scripts.sample import drops, journey  # noqa: E402

Totals = dict[str, int | Decimal]

PROGRAMME = """\
# The plainest programme that uses every part of a night: a point per dollar, three tiers, RFM, packages.
effective_from: 2017-01-01
accounting_currency: USD
reward_points:
  - {id: points, type: quantity, redeemable: true, redeem_ranking: 1,
     expiration: {value: 3, unit: month}, vesting: {value: 14, unit: day}, maximum: 0}
date_intervals:
  - {id: past_year, start: {from: evaluation_date, offset: -12, unit: month}, end: {from: evaluation_date}}
  - {id: coming_year, start: {from: evaluation_date}, end: {from: evaluation_date, offset: 12, unit: month}}
programs:
  - id: club
    tiers:
      - {id: basic, level: 1, validity: coming_year, rules: [{reward_point: points, minimum: 0, window: past_year}]}
      - {id: silver, level: 2, validity: coming_year, rules: [{reward_point: points, minimum: 1000, window: past_year}]}
      - {id: gold, level: 3, validity: coming_year, rules: [{reward_point: points, minimum: 3000, window: past_year}]}
schemes:
  - id: everywhere
    program: club
    valid_from: 2017-01-01
    channels: [all]
    earning:
      - {id: base, activity: purchase_amount, per: 1.00, currency: USD, reward_point: points, points: 1}
    redemption:
      - {id: pay, type: payment_by_amount, reward_point: points, points: 100, per: 1.00, currency: USD}
rfm:
  - {id: retail, active: true, period: {rolling: 12, unit: month}, channels: [all],
     schedule: monthly, segments: champions_125}
"""

#: Columns in which the copies of a scaled feed differ.
OWN = {"transaction_id", "store_id", "customer_id", "loyalty_card_id"}


@dataclass(frozen=True)
class File:
    """One dataset of one store-day: its rows as text, each with its line end, how many they are, what they come to."""

    body: str
    rows: int
    net: Decimal


def store_days(con: duckdb.DuckDBPyConnection, dataset: str, until: date, copy: int) -> dict[tuple[date, str], File]:
    """All of a dataset, one entry for each store-day; the engine puts the text together, not Python row by row."""
    suffix = f" || '-{copy}'" if copy else ""
    known = {column[0] for column in con.execute(f"from {dataset} limit 0").description or []}
    cells = [
        f"coalesce({name}::varchar{suffix if name in OWN else ''}, '')" if name in known else "''"
        for name in drops.contract("pos", dataset).names
    ]
    net = "sum(net_amount)" if dataset == "transactions" else "0"
    order = {"transactions": "transaction_no", "lines": "transaction_id, line_no", "tenders": "transaction_id"}[dataset]
    cursor = con.execute(
        f"select business_date, store_id{suffix}, "
        f"string_agg(concat_ws(',', {', '.join(cells)}) || chr(10), '' order by {order}), "
        f"count(*), {net}::decimal(18, 2) from {dataset} where business_date <= ? group by all order by all",
        [until],
    )
    return {(day, store): File(body, rows, net) for day, store, body, rows, net in cursor.fetchall()}


def write_drop(folder: Path, control: dict[str, Any], files: dict[str, bytes], rows: dict[str, int]) -> None:
    """One drop, ``control.json`` last."""
    folder.mkdir(parents=True)
    listed = []
    for name, data in files.items():
        (folder / name).write_bytes(data)
        listed.append({"name": name, "rows": rows[name], "sha256": hashlib.sha256(data).hexdigest()})
    (folder / "control.json").write_text(json.dumps(control | {"files": listed}), encoding="utf-8")


def write_pos(con: duckdb.DuckDBPyConnection, out: Path, until: date, aside: date | None, copy: int) -> Totals:
    """Every store-day's drop of one copy, the date ``aside`` under next/; what they hold."""
    datasets = {name: store_days(con, name, until, copy) for name in ("lines", "tenders", "transactions")}
    headers = {name: ",".join(drops.contract("pos", name).names) for name in datasets}
    nothing = File("", 0, Decimal(0))
    net = Decimal(0)
    for (day, store), transactions in datasets["transactions"].items():
        found = {name: files.get((day, store), nothing) for name, files in datasets.items()}
        bytes_of = {f"{name}.csv": f"{headers[name]}\n{file.body}".encode() for name, file in found.items()}
        control = {
            "feed": "pos",
            "business_date": day.isoformat(),
            "source": store,
            "revision": 1,
            "totals": {"transactions": transactions.rows, "net_amount": str(transactions.net)},
        }
        folder = out / ("next" if day == aside else "landing") / "pos" / day.isoformat() / store
        write_drop(folder, control, bytes_of, {f"{name}.csv": file.rows for name, file in found.items()})
        net += transactions.net
    totals: Totals = {"store_days": len(datasets["transactions"]), "net_amount": net}
    for name in ("lines", "transactions"):
        totals[name] = sum(file.rows for file in datasets[name].values())
    return totals


def write_hq(con: duckdb.DuckDBPyConnection, out: Path, copies: int) -> None:
    """Head office's one drop, of the first day: all products, a database for each store, a card for each household."""
    hq = drops.Drop("hq", journey.FIRST_DAY, "hq")
    for dataset in ("products", "categories"):
        cursor = con.execute(f"from {dataset} order by 1")
        names = [column[0] for column in cursor.description or []]
        hq.add(dataset, *(dict(zip(names, row, strict=True)) for row in cursor.fetchall()))
    stores = con.execute("select distinct store_id from transactions order by 1").fetchall()
    cards = con.execute(
        "select loyalty_card_id, customer_id, min(business_date) from transactions group by all order by all"
    ).fetchall()
    for copy in range(copies):
        suffix = f"-{copy}" if copy else ""
        for number, (store,) in enumerate(stores):
            hq.add("channels", channel(f"{store}{suffix}", f"group{number % 4}"))
        for card_id, customer_id, first_purchase in cards:
            hq.add("loyalty_cards", card(f"{card_id}{suffix}", f"{customer_id}{suffix}", first_purchase))
            hq.add("customers", customer(f"{customer_id}{suffix}"))
    drops.write(hq, out)


def channel(store: str, group: str) -> drops.Row:
    """A store with its own database."""
    return {
        "channel_id": store,
        "kind": "store",
        "name": store,
        "legal_entity": "CJUS",
        "currency": "USD",
        "time_zone": journey.ZONE,
        "country": "US",
        "org_path": f"/US/{group}/{store}",
        "database": store,
        "data_group": group,
        "customer_mode": "sync",
    }


def card(card_id: str, customer_id: str, first_purchase: date) -> drops.Row:
    """A household's card, enrolled on the day of its first purchase."""
    return {
        "card_id": card_id,
        "card_type": "as_card_tender",
        "customer_id": customer_id,
        "program_id": "club",
        "issued_at": f"{first_purchase.isoformat()}T00:00:00Z",
        "enrolled_from": first_purchase,
    }


def customer(customer_id: str) -> drops.Row:
    """A household as a customer; its name is its number."""
    return {
        "operation_id": f"HQ-{customer_id}",
        "operation": "create",
        "mode": "sync",
        "operated_at": "2017-01-01T00:00:00Z",
        "customer_id": customer_id,
        "customer_type": "person",
        "last_name": customer_id,
    }


def build(out: Path, scale: int, days: int, night: bool) -> Totals:
    """Writes the home. Raises KantaError when the drops do not hold what the source is known to hold."""
    if out.exists() and any(out.iterdir()):
        raise BadArguments(
            "The feed needs an empty directory", where=str(out), next_step="remove it, or name another --out"
        )
    con = journey.connect()
    until = min(journey.FIRST_DAY + timedelta(days - 1), journey.LAST_DAY)
    programme = out / "programme"
    programme.mkdir(parents=True)
    (programme / "programme.yaml").write_text(PROGRAMME, encoding="utf-8")
    write_hq(con, out, scale)
    totals: Totals = {}
    for copy in range(scale):
        for name, number in write_pos(con, out, until, until if night else None, copy).items():
            totals[name] = totals.get(name, 0) + number
    if until == journey.LAST_DAY and totals != {name: scale * journey.KNOWN[name] for name in totals}:
        raise KantaError(f"The feed holds {totals}, not {scale} x {journey.KNOWN}", where=str(out))
    return totals


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the home to make; empty or not there yet")
    parser.add_argument(
        "--scale", type=int, default=1, help="so many copies, each with stores and households of its own"
    )
    parser.add_argument("--days", type=int, default=365, help="the first so many days of 2017")
    parser.add_argument("--night", action="store_true", help="keep the last date aside in next/")
    given = parser.parse_args()
    started = time.perf_counter()
    try:
        totals = build(given.out, given.scale, given.days, given.night)
    except KantaError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(
        ", ".join(f"{name} {number:,}" for name, number in totals.items()), f"in {time.perf_counter() - started:.1f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

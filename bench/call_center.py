"""How long a night judges 200,000 open orders against 100,000 values known to be bad and 50 rules.

Orders, lines, payments and addresses are made by the engine and lie in a lake's files, as landed; measured is the stage
alone, first for all of them, then for a night on which a hundredth changed; that night judges five times as many, since
a first or second notice is due for all of two earlier days.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import sys
import time
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

from kanta import contracts, night, programme
from kanta.engine import Engine
from kanta.home import Home
from kanta.lake import Lake, State
from kanta.programme.model import Programme

FIRST = date(2026, 1, 1)
DAYS = 50

MONEY = "cast(10 + i * 7 % 1500 as decimal(18, 2))"
ORDERS = f"""
    select
        'O' || i as order_id, 'CC' as call_center_id, 'C' || i * 31 % {{customers}} as customer_id,
        cast($day as timestamptz) as ordered_at, cast($day as date) as business_date, 'USD' as currency,
        'submitted' as status, 'ground' as delivery_mode, {MONEY} as net_amount, 0 as tax_amount, 0 as charges_amount,
        0 as discount_amount, {MONEY} as total_amount, 'op' || i % 40 as operator_id
    from range({{low}}, {{high}}) as made(i)
"""
LINES = f"""
    select
        'O' || i as order_id, n as line_no, 'sale' as kind, 'P' || (i * 7 + n) % 5000 as product_id,
        1 + i % 30 as quantity, {MONEY} as unit_price, 0 as discount_amount, {MONEY} as net_amount, 0 as tax_amount,
        i % 20 = 0 as price_overridden
    from range({{low}}, {{high}}) as made(i), range(1, 4) as line(n)
"""
PAYMENTS = f"""
    select 'O' || i as order_id, 1 as payment_no, 'card' as type, {MONEY} as amount, 'authorized' as status
    from range({{low}}, {{high}}) as made(i)
"""
ADDRESSES = """
    select
        'O' || i as order_id, area, 'N' as name, '+1 555 ' || i * 13 % 9999999 as phone,
        'customer' || i || '@example.com' as email, 'S' as street, 'C' as city,
        lpad(cast(i % 99999 as varchar), 5, '0') || '-' || i % 9999 as zip, 'US' as country
    from range({low}, {high}) as made(i), (select unnest(['billing', 'delivery']) as area)
"""
STATIC = """
    select
        ['phone', 'email', 'zip', 'extended_zip'][1 + i % 4] as type,
        case i % 4
            when 0 then '1555' || i
            when 1 then 'customer' || i * 40 || '@example.com'
            when 2 then lpad(cast(i % 500 as varchar), 5, '0') || 'X' || i
            else lpad(cast(i % 99999 as varchar), 5, '0') || '-' || i % 9999
        end as value,
        30 as score, true as active
    from range({static}) as made(i)
"""
PRODUCTS = """
    select 'P' || i as product_id, 'N' as name, 'K' as category_id, 5 + i % 100 as cost_price
    from range(5000) as made(i)
"""


def rules(count: int) -> programme.Version:
    """A programme with so many fraud rules, half of them for lines, and all the rest of the specification's example."""
    conditions = [
        ("order", "total_amount >= 14{0} and customer_age_days < 30 or net_amount - total_amount > {0}"),
        ("line", "quantity > 20 and unit_price * quantity > 40{0}0 and not product_id in ('P1', 'P{0}')"),
    ]
    fraud = {
        "minimum_score": 50, "hold_code": "FRAUD",
        "rules": [
            {"id": f"r{n}", "level": level, "score": 5, "when": condition.format(n + 10)}
            for n in range(count) for level, condition in [conditions[n % 2]]
        ],
    }  # fmt: skip
    refund = {"default": "check", "approve_over": 100}
    tiers = [{"from": 0, "to": 50, "amount": "5.95"}, {"from": 50, "amount": 0}]
    content = {
        "accounting_currency": "USD",
        "call_center": {
            "fraud": fraud, "holds": [{"code": "FRAUD", "name": "Fraud"}],
            "delivery_charges": [{"mode": "ground", "level": "header", "tiers": tiers}],
            "notices": {"first": 10, "second": 20, "cancel": 60},
            "price_override": [{"role": "agent", "markup_percent": 5}],
            "margin_alert": {"acceptable": 40, "questionable": 20},
            "payments": {"tolerance_percent": 20, "decline_limit": 3, "max_order_credit": 50, "refund": refund},
        },
    }  # fmt: skip
    return programme.Version.of(Programme.model_validate(content), FIRST)


class Desk(night.Night):
    """A stage at work under the benchmark's programme."""

    @property
    def versions(self) -> list[programme.Version]:  # type: ignore[override]
        return [rules(50)]


def land(desk: Desk, day: date, feed: str, made: dict[str, str], sizes: dict[str, int]) -> None:
    """Keeps made rows as a drop's."""
    drop = f"{feed}/{day}/B"
    origin = f"'{feed}' as feed, '{drop}' as drop_id, date '{day}' as drop_date, 'B' as source, 'f' as file, 1 as line"
    for dataset, select in made.items():
        sql = select.format(**sizes).replace("$day", f"date '{day}'")
        given = desk.engine.con.sql(sql).columns
        columns = [
            f'"{c.name}"' if c.name in given else f'cast(null as {c.type}) as "{c.name}"'
            for c in contracts.landed()[f"landed.{dataset}"].columns[: -len(contracts.PROVENANCE)]
        ]
        desk.append(f"landed.{dataset}", f"select {', '.join(columns)}, {origin}, {desk.seq} as seq from ({sql})")
    row = f"select '{drop}' as drop_id, '{feed}' as feed, date '{day}' as business_date, {desk.seq} as seq"
    empty = [
        f'cast(null as {c.type}) as "{c.name}"'
        for c in contracts.lake()["ops.drops"].columns
        if c.name not in ("drop_id", "feed", "business_date", "seq")
    ]
    desk.append("ops.drops", f"select *, {', '.join(empty)} from ({row})")


def stage(lake: Lake, home: Home, state: State, day: date, name: str) -> tuple[State, float]:
    """One stage, and how long it took beside opening the engine."""
    with Engine(lake.root / "work") as engine:
        desk = Desk(home, lake, engine, "call_center", state, day)
        begun = time.perf_counter()
        night.STAGES["call_center"](desk)
        took = time.perf_counter() - begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"{name:<44} {took:6.2f} s  {peak:5.2f} GB  {desk.log}", flush=True)
        state = replace(desk.state, seq=desk.seq, through={"call_center": day}, marks={"call_center": desk.seq})
        return state, took


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=200_000)
    parser.add_argument("--static", type=int, default=100_000)
    parser.add_argument("--out", type=Path, default=Path("build") / "bench_call_center")
    given = parser.parse_args()
    home = Home(given.out.resolve())
    shutil.rmtree(home.root, ignore_errors=True)
    lake, state = Lake(home), State()
    parts = {"orders": ORDERS, "order_lines": LINES, "order_payments": PAYMENTS, "order_addresses": ADDRESSES}
    with Engine(lake.root / "work") as engine:
        desk = Desk(home, lake, engine, "landing", state, FIRST)
        sizes = {"customers": given.orders // 4, "static": given.static}
        land(desk, FIRST, "hq", {"fraud_static": STATIC, "products": PRODUCTS}, sizes)
        share = given.orders // DAYS
        for number in range(DAYS):
            low = number * share
            land(desk, FIRST + timedelta(number), "call_center", parts, {**sizes, "low": low, "high": low + share})
        state = replace(desk.state, seq=desk.seq)
    last = FIRST + timedelta(DAYS - 1)
    state, first = stage(lake, home, state, last, f"{given.orders:,} open orders, {given.static:,} values, 50 rules")
    with Engine(lake.root / "work") as engine:
        desk = Desk(home, lake, engine, "landing", state, last)
        land(desk, last + timedelta(1), "call_center", parts, {**sizes, "low": 0, "high": given.orders // 100})
        state = replace(desk.state, seq=desk.seq)
    state, _ = stage(lake, home, state, last + timedelta(1), "a night later: a hundredth, and two days' notices")
    stage(lake, home, state, last + timedelta(1), "the same night again")
    shutil.rmtree(home.root, ignore_errors=True)
    return 0 if first < 15 else 1


if __name__ == "__main__":
    sys.exit(main())

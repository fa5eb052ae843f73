"""How fast packages are made, sent and applied: full for all databases, then a night in which some cards changed.

    python bench/distribution.py --databases 2000 --cards 2000000 --changed 0.01

Makes the published tables (no nights are run): each card has a customer with a contact, a tier and a balance, and is
involved in three databases: enrolled at one, used at two more. Times the first full packages of all jobs, has one store
in fifty apply and acknowledge them (for the others the answer is written), changes the balances of some cards, times
the deltas, and what a store takes to apply its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb

from kanta import distribution, store
from kanta.contracts import contract_of
from kanta.distribution import view
from kanta.distribution.protocol import Acknowledgement, Manifest, sha256
from kanta.engine import Engine
from kanta.home import Home
from kanta.lake import Lake
from kanta.night import Night
from kanta.programme import Programme, Version

FIRST = date(2026, 11, 20)

PROGRAMME: dict[str, Any] = {
    "effective_from": "2017-01-01",
    "accounting_currency": "EUR",
    "reward_points": [{"id": "points", "type": "quantity", "redeemable": True, "redeem_ranking": 1}],
    "date_intervals": [
        {"id": "year", "start": {"from": "evaluation_date"}, "end": {"from": "evaluation_date", "offset": 12,
                                                                     "unit": "month"}}],
    "programs": [{"id": "club", "tiers": [
        {"id": "basic", "level": 1, "validity": "year",
         "rules": [{"reward_point": "points", "minimum": 0, "window": "year"}]}]}],
    "schemes": [{"id": "everywhere", "program": "club", "valid_from": "2017-01-01", "channels": ["all"],
                 "earning": [{"id": "base", "activity": "purchase_amount", "per": "1.00", "currency": "EUR",
                              "reward_point": "points", "points": "1"}]}],
}  # fmt: skip


def tables(databases: int, cards: int, changed: float, night: int) -> dict[str, str]:
    """The published tables as SELECTs; on ``night`` 1 a share of the balances is another one."""
    always = "date '0001-01-01' as valid_from, date '9999-12-31' as valid_to"
    known = "timestamptz '2026-01-05 00:00:00+00' as created_at"
    key = "'K' || n as card_id, 'club' as program_id"
    new = f"({night} = 1 and hash(n) % 10000 < {round(changed * 10_000)})"
    return {
        "reference.channels":
            f"select 'S' || n as channel_id, 'store' as kind, 'Store ' || n as name, '/EU' as org_path,"
            f" 'S' || n as database, 'g' || (n % 4) as data_group, {always} from range({databases}) as t (n)",
        "reference.loyalty_cards":
            f"select {key}, 'as_card_tender' as card_type, 'C' || n as customer_id, 'S' || (n % {databases})"
            f" as channel_id, timestamptz '2026-01-05 00:00:00+00' as issued_at, date '2026-01-05' as enrolled_from,"
            f" {always} from range({cards}) as t (n)",
        "sales.transactions":
            f"select 'S' || ((n * 7 + k * 13 + 1) % {databases}) as channel_id, 'K' || n as loyalty_card_id,"
            f" date '2026-11-01' as business_date from range({cards}) as t (n) cross join range(2) as u (k)",
        "loyalty.card_tiers":
            f"select {key}, 'basic' as tier_id, 1 as level, date '2026-01-05' as valid_from"
            f" from range({cards}) as t (n)",
        "loyalty.balances":
            f"select {key}, 'points' as reward_point_id, 0.00 as deficit from range({cards}) as t (n)",
        "loyalty.open_lots":
            f"select {key}, 'points' as reward_point_id, n % 1000 + case when {new} then 5 else 1 end as points,"
            f" 0 as taken, date '2026-01-05' as usable_from from range({cards}) as t (n)",
        "customers.customers":
            f"select 'C' || n as account, 'synced' as status, 'First' || n as first_name, 'Last' || n as last_name,"
            f" 'S' || (n % {databases}) as created_channel_id, {known}, {always} from range({cards}) as t (n)",
        "customers.contacts":
            f"select 'C' || n as account, 1 as contact_no, 'email' as kind, n || '@example.com' as value,"
            f" true as is_primary, true as consent, {always} from range({cards}) as t (n)",
        "reference.products":
            f"select 'P' || n as product_id, 'Thing ' || n as name, {always} from range(10000) as t (n)",
    }  # fmt: skip


def publish(home: Home, folder: Path, selects: dict[str, str], day: date) -> None:
    """Makes the tables, as Parquet files that :func:`view.attach` finds, and publishes the night."""
    files = {}
    with Engine(folder / "work") as engine:
        for name, select in selects.items():
            columns = contract_of(name).columns
            empty = ", ".join(f'cast(null as {column.type}) as "{column.name}"' for column in columns)
            typed = ", ".join(f'cast("{column.name}" as {column.type}) as "{column.name}"' for column in columns)
            files[name] = folder / f"{name}.parquet"
            engine.execute(
                f"copy (select {typed} from (select {empty} where false union all by name {select}))"
                f" to '{files[name]}' (format parquet, compression zstd)"
            )

    def attach(night: Night) -> list[Version]:
        for table in sorted(view.read()):
            if not table.startswith(("distribution.", "programme.")):
                night.engine.attach(contract_of(table), [files[table]] if table in files else [])
        programme = Programme.model_validate(PROGRAMME)
        return [Version.of(programme, date(2017, 1, 1))]

    view.attach = attach
    view.rules = lambda home: Programme.model_validate(PROGRAMME).distribution
    lake = Lake(home)
    with lake.writing():
        lake.publish(day)


def say_applied(home: Home, folder: Path, package: Path) -> None:
    """Answers as the store would, and takes the package away."""
    content = (package / "manifest.json").read_bytes()
    said = Manifest.model_validate_json(content)
    place = {"database": said.database, "job": said.job, "sequence": said.sequence}
    answer = Acknowledgement(
        **place, manifest_sha256=sha256(content), attempt=1, status="applied", reason=None,
        applied_sequence=said.sequence, applied_manifest_sha256=sha256(content), rows={},
        control_totals=said.control_totals, message="",
    )  # fmt: skip
    target = home.inbox / said.database / said.job / f"{said.sequence:08d}.ack.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(answer.to_bytes())
    for file in package.iterdir():
        file.unlink()
    package.rmdir()


def answer(home: Home, folder: Path, databases: int) -> list[float]:
    """Every store takes what it got; gives the seconds those that really apply it took, for all their jobs."""
    seconds = []
    for number in range(databases):
        outbox = home.outbox / f"S{number}"
        if number % max(databases // 50, 1):
            for manifest in sorted(outbox.rglob("manifest.json")):
                say_applied(home, folder, manifest.parent)
            continue
        begun = time.perf_counter()
        results = store.apply([outbox], folder / f"S{number}.duckdb", home.inbox)
        seconds.append(time.perf_counter() - begun)
        if any(result.failed for result in results):
            raise SystemExit(f"{outbox}: {[result.line() for result in results]}")
    return sorted(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--databases", type=int, default=2_000)
    parser.add_argument("--cards", type=int, default=2_000_000)
    parser.add_argument("--changed", type=float, default=0.01)
    options = parser.parse_args()
    found: dict[str, Any] = vars(options).copy()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        folder, home = Path(name), Home(Path(name) / "home")
        for night, what in enumerate(("full", "delta")):
            day = FIRST + timedelta(days=night)
            publish(home, folder, tables(options.databases, options.cards, options.changed, night), day)
            begun, cpu = time.perf_counter(), time.process_time()
            sent = distribution.run(home, day)
            found[what] = {
                "seconds": round(time.perf_counter() - begun, 1), "cpu_seconds": round(time.process_time() - cpu, 1),
                **{key: sent[key] for key in ("packages", "bytes", "no_data")},
            }  # fmt: skip
            if sent["failed"]:
                raise SystemExit(f"failed: {sent['failed']}")
            seconds = answer(home, folder, options.databases)
            found[what]["apply_seconds_median_and_most"] = [round(seconds[len(seconds) // 2], 2), round(seconds[-1], 2)]
            found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            print(json.dumps(found), flush=True)
        with duckdb.connect(str(folder / "S0.duckdb"), read_only=True) as con:
            found["cards_of_a_store"] = con.execute("select count(*) from cards").fetchall()[0][0]
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

"""The sample feed: six weeks of ten stores of the Complete Journey, as they would have landed.

    python scripts/sample_feed.py build     makes data/sample/ anew, byte for byte the same each time
    python scripts/sample_feed.py check     proves that what is there equals the source

What is in it, what is real and what is made: data/sample/README.md.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from collections import Counter
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb

REPOSITORY = Path(__file__).parent.parent
sys.path.insert(0, str(REPOSITORY))

from kanta.errors import KantaError  # noqa: E402
from scripts.sample import blemishes, customers, drops, journey, members, orders, shop, trade  # noqa: E402

SAMPLE = REPOSITORY / "data" / "sample"
LIMIT = 6_000_000

Totals = dict[str, int | Decimal]


def build(sample: Path) -> None:
    """Writes landing/, late/ and blemishes.json under ``sample``, replacing what is there."""
    con = journey.connect()
    feed = shop.Shop(con)
    people = members.members(con, feed)
    items = orders.catalog(con)
    members.reference(con, feed, people, {item.product_id for item in items})
    trade.carry_cards(feed, people)
    gone = trade.returns(feed)
    paid = trade.redemptions(feed, people, gone)
    quiet = set(people) - {trade.household(receipt.card) for receipt in paid}
    untouched = {receipt.id for receipt in feed.receipts if not receipt.reserved} - gone
    exceptions = blemishes.exceptions(feed, people, untouched, quiet)
    trade.gift_cards(feed)
    trade.odd_receipts(feed)
    trade.adjustments(feed, people, paid)
    members.updates(feed, people)
    customers.operations(feed)
    orders.orders(feed, people, items, trade.savers(feed, gone))
    found = blemishes.copies(feed) + blemishes.bad_rows(feed, people) + blemishes.oddities(feed)
    found = blemishes.late_and_broken(feed) + found  # last made: their copies hold all there is
    for place in ("landing", "late"):
        shutil.rmtree(sample / place, ignore_errors=True)
    for drop in [*feed.drops.values(), *feed.first_revisions]:
        drops.write(drop, sample)
    told = {"blemishes": [blemish.told() for blemish in found], "exceptions": [asdict(entry) for entry in exceptions]}
    (sample / "blemishes.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def check(sample: Path) -> Totals:
    """Compares the sample with the source, receipt by receipt and line by line, and every drop with its control.json.

    Returns the totals that agree. Raises KantaError, with the rows, when anything differs.
    """
    broken = _wrong_files(sample)
    store, day = shop.BROKEN
    _same("drops with wrong files", Counter(broken), Counter([f"pos/{day}/{store} r1"]))
    con = journey.connect()
    totals: Totals = {}
    for dataset in ("transactions", "lines"):
        ours, theirs = _landed(sample, dataset), _source(con, dataset)
        _same(dataset, Counter(ours.values()), Counter(theirs.values()))
        totals[dataset] = len(ours)
        if dataset == "transactions":
            totals["households"] = len({row[4] for row in ours.values()})
            totals["store_days"] = len({row[1:3] for row in ours.values()})
            totals["net_amount"] = sum((Decimal(row[5]) for row in ours.values()), Decimal(0))
    best = con.execute(
        "select store_id from lines where business_date between ? and ? "
        "group by all order by count(*) desc, store_id limit ?",
        [shop.FIRST, shop.LAST, len(shop.STORES)],
    ).fetchall()
    _same("stores", Counter(list(shop.STORES)), Counter(store for (store,) in best))
    totals["bytes"] = sum(path.stat().st_size for path in sample.rglob("*") if path.is_file())
    if totals["bytes"] > LIMIT:
        raise KantaError(f"The sample is {totals['bytes']} bytes, more than {LIMIT}", where=str(sample))
    return totals


def _same(what: str, ours: Counter[object], theirs: Counter[object]) -> None:
    if ours != theirs:
        rows = [f"  + {row}" for row in list(ours - theirs)[:5]] + [f"  - {row}" for row in list(theirs - ours)[:5]]
        raise KantaError(
            "\n".join([f"The sample's {what} are not the source's:", *rows]),
            where=str(SAMPLE),
            next_step="python scripts/sample_feed.py build",
        )


def _wrong_files(sample: Path) -> list[str]:
    """Drops (path and revision) of which a file is not as control.json says: name, hash, number of rows."""
    wrong = []
    for folder, control in drops.controls(sample):
        names = {path.name for path in folder.iterdir()} - {"control.json"}
        files = {file["name"]: file for file in control["files"]}
        right = names == set(files) and all(
            hashlib.sha256((folder / name).read_bytes()).hexdigest() == file["sha256"]
            and len(drops.read(folder / name)) == file["rows"]
            for name, file in files.items()
        )
        if not right:
            wrong.append(f"{control['feed']}/{control['business_date']}/{control['source']} r{control['revision']}")
    return wrong


def _landed(sample: Path, dataset: str) -> dict[tuple[str, ...], tuple[str, ...]]:
    """The real rows (their transaction ids are numbers): newest revision of each drop, first copy of each row."""
    newest: dict[str, tuple[int, Path]] = {}
    for folder, control in drops.controls(sample):
        path = f"{control['business_date']}/{control['source']}"
        if control["feed"] == "pos":
            newest[path] = max(newest.get(path, (0, folder)), (control["revision"], folder))
    rows: dict[tuple[str, ...], tuple[str, ...]] = {}
    for _, (_, folder) in sorted(newest.items()):
        for file in folder.glob(f"{dataset}.*"):
            for row in drops.read(file):
                if row["transaction_id"].isdigit():
                    rows.setdefault((row["transaction_id"], row.get("line_no", "")), _facts(dataset, row))
    return rows


def _source(con: duckdb.DuckDBPyConnection, dataset: str) -> dict[tuple[str, ...], tuple[str, ...]]:
    rows = [{name: drops.text(value) for name, value in row.items()} for row in shop.sampled(con, dataset, "1, 2")]
    return {(row["transaction_id"], row.get("line_no", "")): _facts(dataset, row) for row in rows}


def _facts(dataset: str, row: dict[str, str]) -> tuple[str, ...]:
    """What must be equal: all that the source says of a row; of the card, whose it is."""
    if dataset == "lines":
        measures = ("quantity", "unit_price", "discount_amount", "net_amount")
        return tuple(row[name] for name in ("transaction_id", "line_no", "kind", "product_id", *measures))
    at = datetime.fromisoformat(row["ended_at"]).timestamp()
    whose = str(trade.household(row["loyalty_card_id"]))
    amounts = tuple(row[name] for name in ("net_amount", "discount_amount", "total_amount"))
    return (row["transaction_id"], row["store_id"], row["business_date"], str(at), whose, *amounts)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=["build", "check"])
    parser.add_argument("--sample", type=Path, default=SAMPLE, help="another place than data/sample")
    given = parser.parse_args()
    try:
        if given.verb == "build":
            build(given.sample)
        else:
            totals = check(given.sample)
            print("equal to the source: " + ", ".join(f"{name} {total:,}" for name, total in totals.items()))
    except KantaError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())

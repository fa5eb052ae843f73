"""The sampled shop: ten stores, six weeks, and the real receipts of those days as drops."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import duckdb

from scripts.sample.drops import Drop, Row
from scripts.sample.journey import ZONE

#: Six weeks, Monday to Sunday: the end of summer time, Thanksgiving, two month ends.
FIRST, LAST = date(2017, 10, 30), date(2017, 12, 10)
DAYS = [FIRST + timedelta(day) for day in range((LAST - FIRST).days + 1)]

#: The ten stores that sold most lines in those weeks, most first, and the format each delivers in.
STORES = {
    "S00367": "csv.gz",
    "S00406": "csv.gz",
    "S00292": "csv.gz",
    "S31782": "csv.gz",
    "S00356": "csv.zst",
    "S00424": "csv.zst",
    "S00321": "csv",
    "S00384": "parquet",
    "S00372": "csv",
    "S00427": "ndjson",
}
CALL_CENTER = "CC1"
PROGRAM, REWARD_POINT = "club", "points"
CENT = Decimal("0.01")

#: Store-days kept free of made rows: they come late, come again, or come broken (scripts/sample/blemishes.py).
LATE = ("S00292", date(2017, 11, 7))
REVISED = ("S00356", date(2017, 11, 15))
BROKEN = ("S00321", date(2017, 11, 22))
RESERVED = {LATE, REVISED, BROKEN}


def draw(below: int, *key: object) -> int:
    """A number from 0 to below - 1 that rests on the key alone, so that one made thing never shifts another."""
    return int.from_bytes(hashlib.sha256(repr(("kanta sample", *key)).encode()).digest()[:8], "big") % below


def local(day: date, hour: int, minute: int = 0) -> str:
    """A made time on the wall clock of the stores and the call center."""
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=ZoneInfo(ZONE)).isoformat()


@dataclass
class Receipt:
    """One transaction's rows and the drop they stand in."""

    drop: Drop
    header: Row
    lines: list[Row] = field(default_factory=list)
    tenders: list[Row] = field(default_factory=list)

    @property
    def day(self) -> date:
        day: date = self.header["business_date"]
        return day

    @property
    def id(self) -> str:
        return str(self.header["transaction_id"])

    @property
    def card(self) -> str:
        return str(self.header["loyalty_card_id"])

    @property
    def reserved(self) -> bool:
        return (self.drop.source, self.drop.business_date) in RESERVED


class Shop:
    """All drops of the sample by path, and the real receipts in the order of their time."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.drops: dict[str, Drop] = {}
        self.first_revisions: list[Drop] = []  # what another revision replaces later
        self.receipts = self._real(con)

    def drop(self, feed: str, day: date, source: str) -> Drop:
        """The drop of a source on a date, made when it is not there yet."""
        drop = Drop(feed, day, source, format=STORES.get(source, "csv"))
        return self.drops.setdefault(drop.path, drop)

    def hq(self, day: date) -> Drop:
        return self.drop("hq", day, "hq")

    def open_day(self, store: str, day: date) -> date | None:
        """The first date from ``day`` on that the store delivers and nothing is wrong with, within the six weeks."""
        for later in DAYS:
            if later >= day and f"pos/{later}/{store}" in self.drops and (store, later) not in RESERVED:
                return later
        return None

    def next_open(self, store: str, day: date) -> date:
        """The same where there must be one."""
        if found := self.open_day(store, day):
            return found
        raise LookupError(f"{store} delivers no more from {day} on")

    def take(self, receipt: Receipt) -> None:
        """Puts a receipt's rows into its drop."""
        receipt.drop.add("transactions", receipt.header)
        receipt.drop.add("lines", *receipt.lines)
        receipt.drop.add("tenders", *receipt.tenders)

    def _real(self, con: duckdb.DuckDBPyConnection) -> list[Receipt]:
        receipts: dict[str, Receipt] = {}
        for row in sampled(con, "transactions", "ended_at::timestamptz, transaction_id"):
            del row["household_id"]
            drop = self.drop("pos", row["business_date"], row["store_id"])
            receipts[row["transaction_id"]] = Receipt(drop, row)
        for dataset in ("lines", "tenders"):
            for row in sampled(con, dataset, "transaction_id, 2"):
                del row["store_id"], row["business_date"]
                getattr(receipts[row["transaction_id"]], dataset).append(row)
        for receipt in receipts.values():
            receipt.drop.rows.setdefault("tenders", [])  # a day of nothing but free baskets has the file all the same
            self.take(receipt)
        return list(receipts.values())


def sampled(con: duckdb.DuckDBPyConnection, dataset: str, order: str) -> list[Row]:
    """The source's rows of the sampled stores and days, in a total order."""
    cursor = con.execute(
        f"from {dataset} where store_id in (select unnest(?)) and business_date between ? and ? order by {order}",
        [list(STORES), FIRST, LAST],
    )
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

"""Many stores, many nights, and all that goes wrong on the way: after each contact that brings a store up to what was
sent last, it holds the lake's view, to the row.

No nights are run: states of the lake are made and published, and packages really sent, lost, damaged and applied.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import random
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path

import duckdb
import pytest

from kanta import distribution, store
from kanta.distribution import formats, view
from kanta.distribution.protocol import Manifest, contract
from kanta.engine import Engine
from tests.distribution.conftest import NIGHT, Chain, Retailer, Row

pytestmark = pytest.mark.slow  # whole nights

#: Two jobs are enough: one with customers, one with what stores share and what is their own.
JOBS = {"1010": ("customers",), "1050": ("products", "cards", "card_tiers", "card_balances")}

#: The rows of each dataset, as text.
Held = dict[str, set[tuple[str, ...]]]


def made(retailer: Retailer, stores: int, cards: int) -> None:
    """So many stores with so many cards each, of customers whose accounts are theirs."""
    for rows in (retailer.channels, retailer.cards, retailer.card_tiers, retailer.balances, retailer.lots):
        rows.clear()  # the fixture's own store and card
    retailer.programme["distribution"] = {
        "jobs": JOBS, "enforce_order": False, "retention_days": 9,
        "formats": {"S001": "parquet", "S002": "xstore_mnt"}, "offline_databases": {"S000-offline": "S000"},
    }  # fmt: skip
    for number in range(stores):
        retailer.channel(f"S{number:03d}", kind="store", name=f"Store {number}", data_group=f"g{number % 2}")
    for number in range(stores * cards):
        retailer.customer(f"C{number}", created_channel_id=f"S{number % stores:03d}", first_name=f"Name {number}")
        retailer.card(f"K{number}", customer_id=f"C{number}", channel_id=f"S{number % stores:03d}")
        retailer.holds(f"K{number}", (f"{number}.00", date(2026, 1, 1), None))
        retailer.tier(f"K{number}", "basic", date(2026, 1, 1))
    for number in range(20):
        always = {"valid_from": date(1, 1, 1), "valid_to": date(9999, 12, 31)}
        retailer.products.append({"product_id": f"P{number}", "name": f"Thing {number}", **always})


def day_of_trade(chance: random.Random, retailer: Retailer, stores: int) -> list[str]:
    """Cards move, points change, customers come, are renamed and erased, products go and come back.

    Gives the customers erased today.
    """
    for row in chance.sample(retailer.lots, len(retailer.lots) // 20):
        row["points"] = Decimal(chance.randrange(1, 9))
    for row in chance.sample(retailer.cards, len(retailer.cards) // 50 + 1):
        row["channel_id"] = f"S{chance.randrange(stores):03d}"
    gone = []
    for row in chance.sample(retailer.customers["customers"], len(retailer.customers["customers"]) // 50 + 1):
        row["first_name"] = chance.choice(["Åsa", 'Quote"d', "Semi,colon", "Pipe|\\n", "Two\nlines"])
        if row["status"] != "erased":
            row["status"] = chance.choice(["synced"] * 4 + ["pending"])
    if chance.random() < 0.15:
        row = chance.choice(retailer.customers["customers"])
        row |= {"status": "erased", "first_name": None}
        gone.append(row["account"])
    if chance.random() < 0.5:
        number = len(retailer.cards)
        retailer.card(f"K{number}", channel_id=f"S{chance.randrange(stores):03d}")
        retailer.holds(f"K{number}", ("3.00", date(2026, 1, 1), None))
    if chance.random() < 0.2:
        product = chance.choice(retailer.products)
        product["valid_to"] = date(9999, 12, 31) if product["valid_to"] < date(9999, 1, 1) else date(2020, 1, 1)
    # One card is everywhere, another store's each day.
    retailer.cards[0]["channel_id"] = f"S{chance.randrange(stores):03d}"
    return gone


@dataclass
class Shop:
    """A store by the words of the specification, without kanta.store: quick, and a second opinion."""

    rows: dict[str, dict[tuple[str, ...], tuple[str, ...]]] = field(default_factory=lambda: defaultdict(dict))
    applied: dict[str, dict[int, str]] = field(default_factory=lambda: defaultdict(dict))
    attempts: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def receive(self, outbox: Path, inbox: Path) -> int:
        """Takes what the outbox has; returns how much it had to refuse."""
        refused = 0
        for manifest in sorted(outbox.glob("*/*/manifest.json")):
            job, sequence = manifest.parts[-3:-1]
            content, reason, totals, rows = manifest.read_bytes(), "", Row(), dict[str, int]()
            try:
                said = Manifest.model_validate_json(content).model_dump(mode="json")
                assert (said["job"], f"{said['sequence']:08d}") == (job, sequence)
                assert [file["name"] for file in said["datasets"]] == list(JOBS[job])
            except (ValueError, AssertionError):
                reason = "bad_manifest"
            sha256 = hashlib.sha256(content).hexdigest()
            if not reason:
                reason, totals, rows = self.take(manifest.parent, said, sha256)
            refused += bool(reason)
            self.acknowledge(inbox, manifest.parent, sha256, reason, totals, rows)
        return refused

    def take(self, folder: Path, said: Row, sha256: str) -> tuple[str, Row, dict[str, int]]:
        known = self.applied[said["job"]]
        last = max(known, default=0)
        if said["sequence"] <= last:
            return "" if known.get(said["sequence"]) == sha256 else "reused", said["control_totals"], {}
        if said["mode"] == "delta" and said["applies_to"].get(str(last)) != known.get(last, "none"):
            return "gap", {}, {}
        after = {file["name"]: dict(self.rows[file["name"]]) for file in said["datasets"]}
        for file in said["datasets"]:
            if said["mode"] == "full":
                after[file["name"]].clear()
            if file["file"]:
                path = folder / file["file"]
                data = path.read_bytes() if path.exists() else b""
                if (len(data), hashlib.sha256(data).hexdigest()) != (file["bytes"], file["sha256"]):
                    return "bad_file", {}, {}
                self.put(after[file["name"]], file["name"], gzip.decompress(data).decode())
        totals = counted(after)
        if totals != said["control_totals"]:
            return "totals", totals, {}
        self.rows |= after
        known[said["sequence"]] = sha256
        return "", totals, {file["name"]: file["rows"] for file in said["datasets"] if file["file"]}

    @staticmethod
    def put(table: dict[tuple[str, ...], tuple[str, ...]], dataset: str, text: str) -> None:
        keys = len(contract(dataset).key)
        for op, *values in list(csv.reader(StringIO(text, newline="")))[1:]:
            if op == "U":
                table[tuple(values[:keys])] = tuple(values)
            else:
                table.pop(tuple(values[:keys]), None)

    def acknowledge(
        self, inbox: Path, folder: Path, sha256: str, reason: str, totals: Row, rows: dict[str, int]
    ) -> None:
        database, job, sequence = folder.parts[-3:]
        path = inbox / database / job / f"{sequence}.ack.json"
        self.attempts[str(path)] += 1
        if path.exists():
            with_known = json.loads(path.read_bytes())["attempt"]
            self.attempts[str(path)] = max(self.attempts[str(path)], with_known + 1)
        last = max(self.applied[job], default=0)
        status = "applied" if not reason else "download_failed" if reason.startswith("bad_") else "apply_failed"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({
            "database": database, "job": job, "sequence": int(sequence), "manifest_sha256": sha256,
            "attempt": self.attempts[str(path)], "status": status, "reason": reason or None, "applied_sequence": last,
            "applied_manifest_sha256": self.applied[job].get(last), "rows": rows, "control_totals": totals,
            "message": "",
        }))  # fmt: skip
        if not reason:
            shutil.rmtree(folder)

    def holds(self, job: str) -> Held:
        return {name: set(self.rows[name].values()) for name in JOBS[job]}


def counted(rows: dict[str, dict[tuple[str, ...], tuple[str, ...]]]) -> Row:
    """The control totals of a job's rows."""
    totals: Row = {"rows": {name: len(table) for name, table in rows.items()}}
    if "customers" in rows:
        totals["customers"] = len(rows["customers"])
    if "cards" in rows:
        totals["cards"] = len({card for card, *_ in rows["cards"]})
        available: dict[str, Decimal] = defaultdict(Decimal)
        for _, _, point, points, *_ in rows["card_balances"].values():
            available[point] += Decimal(points)
        totals["available"] = {point: str(points) for point, points in available.items()}
        tiers = defaultdict(set)
        for card, program, tier, *_ in rows["card_tiers"].values():
            tiers[f"{program}/{tier}"].add(card)
        totals["tiers"] = {tier: len(cards) for tier, cards in tiers.items()}
    return totals


class World:
    """Head office, its stores, and chance. Two stores have the reference receiver, which takes the longest."""

    def __init__(self, chain: Chain, chance: random.Random, stores: int) -> None:
        self.chain, self.chance, self.stores = chain, chance, stores
        self.names = [f"S{number:03d}" for number in range(stores)] + ["S000-offline"]
        self.shops = {name: Shop() for name in self.names if name not in ("S001", "S002")}
        self.backups: dict[str, bytes | Shop] = {}
        self.views: dict[tuple[str, str], Held] = {}
        self.sent: dict[tuple[str, str], tuple[int, str]] = {}
        self.counts: Counter[str] = Counter()

    def night(self, day: date, *, all_goes_well: bool = False) -> None:
        """Trade, publication, sending; what goes wrong on head office's side."""
        erased = day_of_trade(self.chance, self.chain.retailer, self.stores)
        if erased:
            self.counts["erased"] += len(distribution.erased(self.chain.home, erased, []))
        if self.chance.random() < 0.15:
            channel = self.chance.choice(self.chain.retailer.channels)
            channel["data_group"] = "g0" if channel["data_group"] == "g1" else "g1"
        self.chain.publish(day)
        for group in ("g0", "g1") if self.chance.random() < 0.1 else (None,):
            for session in distribution.send(self.chain.home, day, group):
                self.counts[f"{session.state} {session.reason}".strip()] += 1
                if session.state == "available":
                    self.sent[session.line] = session.sequence, session.manifest_sha256
                    self.counts[session.mode] += 1
        if not all_goes_well:
            self.by_hand()
            self.damage()

    def by_hand(self) -> None:
        """What people ask for."""
        name, fate = self.chance.choice(self.names), self.chance.random()
        moved = (
            distribution.full_sync(self.chain.home, name) if fate < 0.05
            else distribution.retry(self.chain.home, name) if fate < 0.1
            else []
        )  # fmt: skip
        for session in moved:
            if session.state == "available":
                self.sent[session.line] = session.sequence, session.manifest_sha256

    def damage(self) -> None:
        """Packages that get lost or damaged on the way, and an acknowledgement nobody should believe."""
        for package in [path.parent for path in sorted(self.chain.home.outbox.rglob("manifest.json"))]:
            fate = self.chance.random()
            if fate < 0.03:
                shutil.rmtree(package)
                self.counts["package lost"] += 1
            elif fate < 0.07:
                file = self.chance.choice(sorted(package.iterdir()))
                content = bytearray(file.read_bytes())
                content[self.chance.randrange(len(content))] ^= 1 << self.chance.randrange(8)
                file.write_bytes(content)
                self.counts["file damaged"] += 1
        acks = sorted(self.chain.home.inbox.rglob("*.ack.json"))
        if acks and self.chance.random() < 0.2:
            other = self.chance.choice(acks).read_bytes()
            self.chance.choice(acks).write_bytes(other)

    def contact(self, name: str, *, all_goes_well: bool = False) -> None:
        """A store takes what its outbox has, and mostly can say so; now and then it was restored from a backup."""
        file, fate = self.chain.stores / f"{name}.duckdb", self.chance.random()
        if all_goes_well:
            pass
        elif fate < 0.02 and name in self.backups:
            self.restore(name, file)
        elif fate < 0.03:
            file.unlink(missing_ok=True)
            self.shops |= {name: Shop()} if name in self.shops else {}
            self.counts["store lost"] += 1
        elif fate < 0.08:
            self.back_up(name, file)
        heard = all_goes_well or self.chance.random() < 0.9
        self.take(name, self.chain.home.inbox if heard else self.chain.stores / "lost")
        self.check(name)

    def back_up(self, name: str, file: Path) -> None:
        if name in self.shops:
            self.backups[name] = deepcopy(self.shops[name])
        elif file.exists():
            self.backups[name] = file.read_bytes()

    def restore(self, name: str, file: Path) -> None:
        backup = self.backups[name]
        self.counts["store restored"] += 1
        if isinstance(backup, Shop):
            self.shops[name] = deepcopy(backup)
        else:
            file.write_bytes(backup)

    def take(self, name: str, inbox: Path) -> None:
        outbox = self.chain.home.outbox / name
        if name in self.shops:
            self.counts["refused"] += self.shops[name].receive(outbox, inbox)
        elif outbox.is_dir():
            results = store.apply([outbox], self.chain.stores / f"{name}.duckdb", inbox)
            self.counts["refused"] += sum(result.failed for result in results)

    def check(self, name: str) -> bool:
        """Where a store stands at what was sent last, it holds the view; gives whether it does so for all jobs."""
        behind = 0
        for job, (position, found) in self.in_shop(name).items():
            if position != self.sent.get((name, job)):
                behind += 1
                continue
            self.counts["checked"] += 1
            for dataset, rows in self.views[name, job].items():
                assert found[dataset] == rows, (name, job, dataset, found[dataset] ^ rows)
        self.counts["behind"] += behind
        return not behind

    def in_shop(self, name: str) -> dict[str, tuple[tuple[int, str] | None, Held]]:
        """By job: the sequence and hash a store stands at, and what it holds."""
        if shop := self.shops.get(name):
            last = {job: max(shop.applied[job].items(), default=None) for job in JOBS}
            return {job: (last[job], shop.holds(job)) for job in JOBS}
        file = self.chain.stores / f"{name}.duckdb"
        if not file.exists():
            return {job: (None, {}) for job in JOBS}
        found = {}
        with duckdb.connect(file, read_only=True) as con:
            for job, datasets in JOBS.items():
                query = "select sequence, manifest_sha256 from receiver.applied where job = ? order by sequence desc"
                held: Held = {}
                if (last := con.execute(query, [job]).fetchone()) is not None:
                    for dataset in datasets:
                        cells = ", ".join(f"coalesce(cast({name} as varchar), '')" for name in contract(dataset).names)
                        held[dataset] = set(con.execute(f"select {cells} from {dataset}").fetchall())
                found[job] = last, held
        return found

    def look(self, engine: Engine, datasets: Iterable[str]) -> None:
        """Keeps the lake's view of every database that is being served, as it has just been worked out."""
        names = [database for (database,) in engine.rows("select distinct database from distribution._databases")]
        for job in JOBS:
            for name in names:
                self.views[name, job] = {dataset: set() for dataset in JOBS[job]}
            for dataset in JOBS[job]:
                line = formats.projection("csv.gz", contract(dataset))
                everyone = view.is_shared(dataset)
                database = "''" if everyone else "database"
                lines = engine.rows(
                    f"select {database}, {line} from (select 'U' as op, * from distribution._{dataset})"
                )
                for database, text in lines:
                    for name in names if everyone else [database]:
                        if (name, job) != ("S000-offline", "1010"):  # an offline database gets no customers
                            self.views[name, job][dataset].update(rows_of([text.removeprefix("U,")]))


def rows_of(lines: Iterable[str]) -> list[tuple[str, ...]]:
    return [tuple(row) for line in lines for row in csv.reader(StringIO(line, newline=""))]


def simulate(chain: Chain, monkeypatch: pytest.MonkeyPatch, stores: int, nights: int, cards: int) -> Counter[str]:
    """The course of events; gives how often what happened."""
    chance = random.Random(f"{stores} {nights}")  # noqa: S311 - a course of events, no secret
    made(chain.retailer, stores, cards)
    world = World(chain, chance, stores)
    work_out = view.work_out

    def and_look(engine: Engine, datasets: Iterable[str]) -> None:
        work_out(engine, datasets)
        world.look(engine, datasets)

    monkeypatch.setattr(view, "work_out", and_look)
    for number in range(nights):
        world.night(NIGHT + timedelta(days=number))
        for name in world.names:
            if chance.random() < (0.6 if name in world.shops else 0.3):  # the others are closed
                world.contact(name)
    # Once all goes well again, every store is right within a few nights, without anybody's help: what was refused is
    # replaced; so is what was lost; and where a store was restored, the next change finds it out.
    for number in range(nights, nights + 4):
        for row in chain.retailer.customers["customers"]:
            row["last_name"] = f"Name {number}"
        for row in chain.retailer.lots:
            row["points"] = Decimal(number)
        world.night(NIGHT + timedelta(days=number), all_goes_well=True)
        for name in world.names:
            world.contact(name, all_goes_well=True)
    behind = [name for name in world.names if not world.check(name)]
    assert behind == []
    return world.counts


def test_a_few_stores_hold_what_the_lake_says(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = simulate(chain, monkeypatch, 4, 5, 6)
    assert counts["delta"] > 15, counts
    assert counts["checked"] > counts["behind"], counts


def test_fifty_stores_hold_what_the_lake_says_through_sixty_nights(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = simulate(chain, monkeypatch, 50, 60, 3)
    print(counts)
    assert counts["delta"] > 1500, counts
    assert counts["checked"] > 5 * counts["behind"], counts
    for what in ("erased", "package lost", "file damaged", "store lost", "store restored", "refused", "canceled lost"):
        assert counts[what] > 5, counts

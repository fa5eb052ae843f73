"""The reference receiver, rule by rule (spec 6-distribution, "Receiver")."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kanta import store, store_balance
from kanta.distribution import formats
from kanta.distribution.protocol import Acknowledgement, canonical_json, contract
from kanta.errors import Busy, KantaError
from tests.distribution.conftest import held

Row = dict[str, Any]
Rows = Mapping[str, Sequence[str]]

K1, K2, K3 = (f"{card},club,as_card_tender,C{card[1]},2026-01-05,," for card in ("K1", "K2", "K3"))
#: Those of the packages here: a job has what the programme says.
DATASETS = ("programs", "price_groups", "cards", "card_tiers", "card_balances")
CARDS = b"op,card_id,program_id,card_type,customer_id,enrolled_from,enrolled_to,replaced_by_card_id\n"
FIRST: Rows = {
    "programs": ["club,false"],
    "cards": [K1, K2],
    "card_tiers": ["K1,club,gold,2026-03-01,2,2027-03-01", "K2,club,gold,2026-03-01,2,"],
    "card_balances": ["K1,club,points,12.50,0.00,0.00", "K2,club,points,-2.50,1.00,0.00"],
}


def totals(held_rows: Rows) -> Row:
    """The control totals of what a store holds, by the words of the specification."""
    available: dict[str, int] = {}
    tiers: dict[str, set[str]] = {}
    for line in held_rows.get("card_balances", []):
        _, _, point, points, *_ = line.split(",")
        available[point] = available.get(point, 0) + round(float(points) * 100)
    for line in held_rows.get("card_tiers", []):
        card, program, tier, *_ = line.split(",")
        tiers.setdefault(f"{program}/{tier}", set()).add(card)
    return {
        "rows": {name: len(held_rows.get(name, [])) for name in DATASETS},
        "cards": len({line.split(",")[0] for line in held_rows.get("cards", [])}),
        "available": {point: f"{hundredths / 100:.2f}" for point, hundredths in available.items()},
        "tiers": {tier: len(cards) for tier, cards in tiers.items()},
    }


class Outbox:
    """Packages written by hand, right or wrong; remembers their manifests' hashes."""

    def __init__(self, root: Path) -> None:
        self.root, self.hashes = root, dict[int, str]()

    def put(
        self,
        sequence: int,
        rows: Rows,
        after: Rows,
        *,
        on: Sequence[int] = (),
        database: str = "S001",
        header: str = "",
        spoil: Callable[[Row, Path], None] | None = None,
        **changed: Any,
    ) -> Path:
        """A package: ``rows`` are lines (with op for a delta), ``after`` what the store is to hold then, ``on`` the
        sequences a delta fits on; ``spoil`` and ``changed`` make it wrong."""
        folder = self.root / database / "1050" / f"{sequence:08d}"
        folder.mkdir(parents=True)
        files = [self._file(folder, name, rows.get(name, []), bool(on), header) for name in DATASETS]
        manifest = {
            "schema_version": 1, "database": database, "job": "1050", "sequence": sequence,
            "mode": "delta" if on else "full", "base_sequence": min(on, default=0),
            "applies_to": {str(n): self.hashes[n] for n in on}, "previous_manifest_sha256": None,
            "business_date": "2026-11-20", "datasets": files, "control_totals": totals(after), **changed,
        }  # fmt: skip
        if spoil:
            spoil(manifest, folder)
        content = canonical_json(manifest)
        self.hashes[sequence] = hashlib.sha256(content).hexdigest()
        (folder / "manifest.json").write_bytes(content)
        return folder

    def _file(self, folder: Path, name: str, lines: Sequence[str], delta: bool, header: str) -> Row:
        if not lines:
            return {"name": name, "file": None, "rows": 0, "deletes": 0, "bytes": 0, "sha256": None}
        of = contract(name)
        text = [header or ",".join(("op", *of.names)), *(line if delta else f"U,{line}" for line in lines)]
        content = gzip.compress(("\n".join(text) + "\n").encode(), mtime=0)
        return write(folder, name, content, len(lines), sum(line.startswith("D,") for line in text))


def write(folder: Path, name: str, content: bytes, rows: int, deletes: int = 0) -> Row:
    (folder / f"{name}.csv.gz").write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    return {
        "name": name, "file": f"{name}.csv.gz", "rows": rows, "deletes": deletes, "bytes": len(content),
        "sha256": sha256,
    }  # fmt: skip


class Store:
    """One store with its database and its inbox at head office."""

    def __init__(self, root: Path) -> None:
        self.file, self.inbox = root / "store.duckdb", root / "inbox"

    def has_applied_first(self, outbox: Outbox) -> None:
        """Gives the store the database it has after package 1, the full package of FIRST."""
        content, outbox.hashes[1] = after_first()
        self.file.write_bytes(content)

    def apply(self, *packages: Path) -> list[tuple[int, str, str | None]]:
        said = [result.acknowledgement for result in store.apply(packages, self.file, self.inbox)]
        return [(each.sequence, each.status, each.reason) for each in said]

    def ack(self, sequence: int, database: str = "S001") -> Acknowledgement:
        return Acknowledgement.model_validate_json(
            (self.inbox / database / "1050" / f"{sequence:08d}.ack.json").read_bytes()
        )

    @property
    def holds(self) -> Rows:
        return held(self.file)


@cache
def after_first() -> tuple[bytes, str]:
    """The database of a store that has applied FIRST, and that package's hash."""
    with TemporaryDirectory() as folder:
        outbox, shop = Outbox(Path(folder, "outbox")), Store(Path(folder))
        assert shop.apply(outbox.put(1, FIRST, FIRST)) == [(1, "applied", None)]
        return shop.file.read_bytes(), outbox.hashes[1]


@pytest.fixture
def outbox(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path / "outbox")


@pytest.fixture
def shop(tmp_path: Path) -> Store:
    return Store(tmp_path)


def sorted_rows(rows: Rows) -> dict[str, list[str]]:
    return {name: sorted(lines) for name, lines in rows.items() if lines}


# ── rule 1 ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_1_packages_are_applied_by_sequence_whatever_order_they_are_given_in(outbox: Outbox, shop: Store) -> None:
    one = outbox.put(1, FIRST, FIRST)
    second = {**FIRST, "cards": [K1, K2, K3]}
    two = outbox.put(2, {"cards": [f"U,{K3}"]}, second, on=[1])
    three = outbox.put(3, {"cards": ["D,K3,club,,,,,"]}, FIRST, on=[2])
    assert shop.apply(three, one, two) == [(1, "applied", None), (2, "applied", None), (3, "applied", None)]
    assert shop.holds == sorted_rows(FIRST)


def test_1_a_fault_does_not_keep_later_packages_back(outbox: Outbox, shop: Store) -> None:
    outbox.put(1, FIRST, FIRST, spoil=lambda manifest, folder: (folder / "cards.csv.gz").unlink())
    outbox.put(2, {"cards": [f"U,{K3}"]}, FIRST, on=[1])
    outbox.put(3, FIRST, FIRST)
    assert shop.apply(outbox.root) == [
        (1, "download_failed", "bad_file"), (2, "apply_failed", "gap"), (3, "applied", None),
    ]  # fmt: skip
    assert shop.holds == sorted_rows(FIRST)


def test_1_a_folder_without_a_manifest_is_not_looked_at(outbox: Outbox, shop: Store) -> None:
    one = outbox.put(1, FIRST, FIRST)
    (one / "manifest.json").rename(one / "manifest.json.part")
    two = outbox.put(2, FIRST, FIRST)
    assert shop.apply(one, two) == [(2, "applied", None)]
    assert shop.apply(outbox.root) == []
    with pytest.raises(KantaError, match="no such package folder"):
        shop.apply(two)


def test_1_one_receiver_at_a_time(outbox: Outbox, shop: Store) -> None:
    package = outbox.put(1, FIRST, FIRST)
    shop.apply(package)
    outbox.put(2, FIRST, FIRST)
    code = f"import duckdb, sys; con = duckdb.connect({str(shop.file)!r}); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(Busy, match="Another receiver"):
            shop.apply(outbox.root)
        other.communicate(b"")
    assert shop.apply(outbox.root) == [(2, "applied", None)]


# ── rule 2 ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "changed",
    [
        {"sequence": 2}, {"database": "S002"}, {"job": "1010"}, {"database": "../S001"}, {"sequence": "1"},
        {"mode": "other"}, {"datasets": "none"}, {"unknown": 1}, {"base_sequence": -1}, {"business_date": "today"},
        {"business_date": "2026-02-30"},
        {"control_totals": None}, {"applies_to": {"1": "no hash"}}, {"schema_version": None},
    ],
    ids=str,
)  # fmt: skip
def test_2_a_manifest_that_is_not_of_its_folder_or_ill_formed_is_bad(outbox: Outbox, shop: Store, changed: Row) -> None:
    package = outbox.put(1, FIRST, FIRST, spoil=lambda manifest, _: manifest.update(changed))
    assert shop.apply(package) == [(1, "download_failed", "bad_manifest")]
    assert shop.holds == {}
    assert package.exists(), "what is not applied is not deleted"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"null", b"[" * 100_000, b'{"sequence": 1e999}'])
def test_2_what_is_no_json_object_is_a_bad_manifest(outbox: Outbox, shop: Store, content: bytes) -> None:
    package = outbox.put(1, FIRST, FIRST)
    (package / "manifest.json").write_bytes(content)
    assert shop.apply(package) == [(1, "download_failed", "bad_manifest")]
    assert shop.ack(1).manifest_sha256 == hashlib.sha256(content).hexdigest()


def test_2_a_manifest_that_is_a_link_or_endless_is_bad(outbox: Outbox, shop: Store, tmp_path: Path) -> None:
    link, large = outbox.put(1, FIRST, FIRST), outbox.put(2, FIRST, FIRST)
    (link / "manifest.json").rename(tmp_path / "elsewhere.json")
    (link / "manifest.json").symlink_to(tmp_path / "elsewhere.json")
    with (large / "manifest.json").open("ab") as file:
        file.truncate(2**30)
    assert shop.apply(link, large) == [(1, "download_failed", "bad_manifest"), (2, "download_failed", "bad_manifest")]


def test_2_a_store_takes_only_its_own_database(outbox: Outbox, shop: Store) -> None:
    shop.has_applied_first(outbox)
    assert shop.apply(outbox.put(2, {}, {}, database="S002")) == [(2, "download_failed", "bad_manifest")]
    assert shop.holds == sorted_rows(FIRST)
    assert shop.ack(2, "S002").applied_sequence == 1


@pytest.mark.parametrize(
    "changed",
    [{"schema_version": 2, "something": "new"}, {"datasets": []}],
    ids=["version", "datasets"],
)
def test_2_another_schema_is_refused(outbox: Outbox, shop: Store, changed: Row) -> None:
    package = outbox.put(1, FIRST, FIRST, spoil=lambda manifest, _: manifest.update(changed))
    assert shop.apply(package) == [(1, "download_failed", "schema")]


# ── rule 3 ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_3_applied_twice_is_acknowledged_again_and_changes_nothing(outbox: Outbox, shop: Store, tmp_path: Path) -> None:
    outbox.put(1, FIRST, FIRST)
    shop.apply(outbox.root)
    first = shop.ack(1)
    second = {**FIRST, "cards": [K1, K2, K3]}
    outbox.put(2, {"cards": [f"U,{K3}"]}, second, on=[1])
    shop.apply(outbox.root)
    again = outbox.put(1, FIRST, FIRST)
    assert shop.apply(again) == [(1, "applied", None)]
    repeated = shop.ack(1)
    assert (repeated.attempt, repeated.rows, repeated.control_totals) == (2, first.rows, first.control_totals)
    assert (repeated.applied_sequence, repeated.applied_manifest_sha256) == (2, outbox.hashes[2])
    assert shop.holds == sorted_rows(second)
    assert not again.exists()


def test_3_a_sequence_used_for_another_package_is_refused(outbox: Outbox, shop: Store) -> None:
    shop.apply(outbox.put(2, FIRST, FIRST))
    assert shop.apply(outbox.put(1, FIRST, FIRST)) == [(1, "apply_failed", "reused")]
    assert shop.apply(outbox.put(2, {"cards": [K3]}, {"cards": [K3]})) == [(2, "apply_failed", "reused")]
    assert shop.ack(2).applied_sequence == 2
    assert shop.holds == sorted_rows(FIRST)


# ── rule 4 ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("have", [None, 1, 2])
def test_4_a_delta_fits_on_each_sequence_it_names_and_on_no_other(
    outbox: Outbox, shop: Store, have: int | None
) -> None:
    after = {**FIRST, "cards": [K1, K2, K3]}
    one, two = outbox.put(1, FIRST, FIRST), outbox.put(2, FIRST, FIRST)
    three = outbox.put(3, {"cards": [f"U,{K3}"]}, after, on=[2])
    if have:
        shop.apply({1: one, 2: two}[have])
    assert shop.apply(three) == [(3, "applied", None) if have == 2 else (3, "apply_failed", "gap")]
    assert shop.holds == sorted_rows({None: {}, 1: FIRST, 2: after}[have])


def test_4_a_delta_with_another_hash_of_the_base_does_not_fit(outbox: Outbox, shop: Store) -> None:
    shop.has_applied_first(outbox)
    outbox.hashes[1] = "0" * 64
    assert shop.apply(outbox.put(2, {"cards": [f"U,{K3}"]}, FIRST, on=[1])) == [(2, "apply_failed", "gap")]


def test_4_a_full_package_fits_on_anything(outbox: Outbox, shop: Store) -> None:
    shop.has_applied_first(outbox)
    after = {"cards": [K3]}
    assert shop.apply(outbox.put(9, after, after)) == [(9, "applied", None)]
    assert shop.holds == after


# ── rule 5 ───────────────────────────────────────────────────────────────────────────────────────────────────────


def spoiled(**changed: Any) -> Callable[[Row, Path], None]:
    def spoil(manifest: Row, folder: Path) -> None:
        (cards,) = (file for file in manifest["datasets"] if file["name"] == "cards")
        cards.update(changed)

    return spoil


def outside(manifest: Row, folder: Path) -> None:
    (folder / "cards.csv.gz").rename(folder.parent / "cards.csv.gz")
    spoiled(file="../cards.csv.gz")(manifest, folder)


def linked(manifest: Row, folder: Path) -> None:
    (folder / "cards.csv.gz").rename(folder.parent / "cards.csv.gz")
    (folder / "cards.csv.gz").symlink_to(folder.parent / "cards.csv.gz")


def cut(manifest: Row, folder: Path) -> None:
    os.truncate(folder / "cards.csv.gz", 20)


def changed_byte(manifest: Row, folder: Path) -> None:
    content = bytearray((folder / "cards.csv.gz").read_bytes())
    content[-1] ^= 1
    (folder / "cards.csv.gz").write_bytes(content)


def pipe(manifest: Row, folder: Path) -> None:
    (folder / "cards.csv.gz").unlink()
    os.mkfifo(folder / "cards.csv.gz")


@pytest.mark.parametrize(
    "spoil",
    [
        outside, linked, cut, changed_byte, pipe,
        spoiled(file="/etc/passwd"), spoiled(file="cards.csv.gz\0"), spoiled(file=".."), spoiled(file=""),
        spoiled(file="cards.csv.gz.age"), spoiled(file="cards.parquet"), spoiled(file="missing.csv.gz"),
        spoiled(bytes=1), spoiled(sha256="0" * 64), spoiled(sha256=None),
    ],
)  # fmt: skip
def test_5_a_file_that_is_not_plainly_the_one_that_was_sent_is_bad(
    outbox: Outbox, shop: Store, spoil: Callable[[Row, Path], None]
) -> None:
    shop.has_applied_first(outbox)
    assert shop.apply(outbox.put(2, {"cards": [K3]}, {"cards": [K3]}, spoil=spoil)) == [
        (2, "download_failed", "bad_file")
    ]
    assert shop.holds == sorted_rows(FIRST)


# ── rule 6 ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_6_a_full_package_empties_the_tables_also_those_it_has_no_rows_for(outbox: Outbox, shop: Store) -> None:
    shop.has_applied_first(outbox)
    assert shop.apply(outbox.put(2, {}, {})) == [(2, "applied", None)]
    assert shop.holds == {}


def test_6_u_replaces_d_deletes_if_there_and_the_rest_stays(outbox: Outbox, shop: Store) -> None:
    first = {**FIRST, "price_groups": ["club,,CLUB", "club,gold,GOLD"]}
    shop.apply(outbox.put(1, first, first))
    blocked = K1.replace("as_card_tender", "blocked")
    after = {**first, "cards": [blocked, K3], "price_groups": ["club,gold,GOLD"]}
    delta = {
        "cards": [f"U,{blocked}", "D,K2,club,,,,,", f"U,{K3}", "D,K-never,club,,,,,"],
        "price_groups": ["D,club,,CLUB", "U,club,gold,GOLD"],
    }
    assert shop.apply(outbox.put(2, delta, after, on=[1])) == [(2, "applied", None)]
    assert shop.holds == sorted_rows(after)
    assert shop.ack(2).rows == {"price_groups": 2, "cards": 4}


@pytest.mark.parametrize(
    ("dataset", "lines"),
    [
        ("cards", [K3, K3]),
        ("cards", [K3[:-1]]),
        ("cards", [K3.replace("2026-01-05", "2026-02-30")]),
        ("cards", [K3.replace("2026-01-05", "05.01.2026")]),
        ("cards", [K3.replace("2026-01-05", "")]),
        ("cards", [K3.replace("as_card_tender", "")]),
        ("cards", [K3.replace("K3", '"K3')]),
        ("card_balances", ["K1,club,points,12.505,0.00,0.00"]),
        ("card_balances", ["K1,club,points,1e1,0.00,0.00"]),
        ("card_balances", ["K1,club,points,12.5,0.00,0.00"]),
        ("card_balances", ["K1,club,points,NaN,0.00,0.00"]),
        ("card_balances", ["K1,club,points,99999999999999999.00,0.00,0.00"]),
        ("card_tiers", ["K1,club,gold,2026-03-01,2.5,"]),
        ("card_tiers", ["K1,club,gold,,2,"]),
        ("programs", ["club,yes"]),
    ],
)
def test_6_a_bad_column_type_or_key_is_refused(outbox: Outbox, shop: Store, dataset: str, lines: list[str]) -> None:
    shop.has_applied_first(outbox)
    rows = {dataset: lines}
    assert shop.apply(outbox.put(2, rows, FIRST)) == [(2, "apply_failed", "bad_rows")]
    assert shop.holds == sorted_rows(FIRST)
    assert "K1" not in shop.ack(2).message
    assert "club" not in shop.ack(2).message


@pytest.mark.parametrize("line", [f"X,{K3}", f",{K3}", f"u,{K3}"])
def test_6_an_unknown_operation_is_refused(outbox: Outbox, shop: Store, line: str) -> None:
    shop.has_applied_first(outbox)
    assert shop.apply(outbox.put(2, {"cards": [line]}, FIRST, on=[1])) == [(2, "apply_failed", "bad_rows")]


@pytest.mark.parametrize(
    "header",
    [
        "op,card_id,program_id,card_type,customer_id,enrolled_from,enrolled_to",
        "card_id,op,program_id,card_type,customer_id,enrolled_from,enrolled_to,replaced_by_card_id",
        "op,card_id,program_id,card_type,customer_id,enrolled_from,enrolled_to,other",
        "op,card_id,program_id,card_type,customer_id,enrolled_from,enrolled_to,replaced_by_card_id\r",
    ],
)
def test_6_other_columns_are_refused(outbox: Outbox, shop: Store, header: str) -> None:
    package = outbox.put(1, {"cards": [K3]}, {"cards": [K3]}, header=header)
    assert shop.apply(package) == [(1, "apply_failed", "bad_rows")]


@pytest.mark.parametrize("changed", [{"rows": 0}, {"rows": 2}, {"deletes": 1}, {"rows": 2**52}])
def test_6_another_number_of_rows_than_said_is_refused(outbox: Outbox, shop: Store, changed: Row) -> None:
    package = outbox.put(1, {"cards": [K3]}, {"cards": [K3]}, spoil=spoiled(**changed))
    assert shop.apply(package) == [(1, "apply_failed", "bad_rows")]


def test_6_rows_without_a_file_are_refused(outbox: Outbox, shop: Store) -> None:
    package = outbox.put(1, {"cards": [K3]}, {"cards": [K3]}, spoil=spoiled(file=None))
    assert shop.apply(package) == [(1, "apply_failed", "bad_rows")]


@pytest.mark.parametrize(
    "content",
    [
        b"op,card_id",
        gzip.compress(b""),
        gzip.compress(CARDS * 99)[:-9],
        gzip.compress(b"0" * 2**24),
        gzip.compress(CARDS + b"0" * 2**24),
        gzip.compress(CARDS + (f"U,{K3}\n" * 2**18).encode()),
        gzip.compress(CARDS + b"U,\xff,,,,,,\n"),
    ],
    ids=["no gzip", "empty", "cut", "one long line", "long row", "many rows", "no UTF-8"],
)
def test_6_a_file_that_is_not_what_it_says_is_refused_without_reading_it_all(
    outbox: Outbox, shop: Store, content: bytes
) -> None:
    def spoil(manifest: Row, folder: Path) -> None:
        spoiled(**write(folder, "cards", content, 1))(manifest, folder)

    shop.has_applied_first(outbox)
    package = outbox.put(2, {"cards": [K3]}, {"cards": [K3]}, spoil=spoil)
    assert shop.apply(package) == [(2, "apply_failed", "bad_rows")]
    assert shop.holds == sorted_rows(FIRST)


def gzip_bomb(path: Path) -> None:
    """4 GiB of lines in 4 MB."""
    path.write_bytes(gzip.compress(CARDS) + gzip.compress(b"U,,,,,,,\n" * 2**20) * 512)


def one_text_in_every_row(path: Path) -> None:
    """10 GB of text in a few kB: every row refers to the same megabyte."""
    rows = pa.DictionaryArray.from_arrays(pa.array([0] * 10_000, pa.int32()), pa.array(["K" * 2**20]))
    write_cards(path, pa.array(["U"] * 10_000), card_id=rows)


def one_page_that_expands(path: Path) -> None:
    """20 MB in a page of a few kB."""
    write_cards(path, pa.array(["U"]), card_id=pa.array(["K" * 20 * 2**20]))


def more_rows_than_said(path: Path) -> None:
    write_cards(path, pa.array(["U"] * 2_000_000))


def many_columns(path: Path) -> None:
    """Its footer alone is larger than a manifest may be."""
    pq.write_table(pa.table({f"column_{n:0400}": pa.array([], pa.null()) for n in range(6_000)}), path)


def a_list_without_end(path: Path) -> None:
    """30 bytes whose schema says that it has two billion columns."""
    footer = bytes.fromhex("150219fcffffffff07")
    path.write_bytes(b"PAR1" + footer + len(footer).to_bytes(4, "little") + b"PAR1")


def write_cards(path: Path, op: pa.Array, **columns: pa.Array) -> None:
    types = {"VARCHAR": pa.string(), "DATE": pa.date32()}
    none = {c.name: pa.nulls(len(op), types[c.type]) for c in contract("cards").columns}
    pq.write_table(pa.table({"op": op, **none, **columns}), path, compression="zstd")


@pytest.mark.parametrize(
    ("bomb", "rows", "word"),
    [
        (gzip_bomb, 1, "expands"), (gzip_bomb, 2**52, "expands"), (one_text_in_every_row, 10_000, "expands"),
        (one_page_that_expands, 1, "expands"), (more_rows_than_said, 1, "count"), (many_columns, 1, "expands"),
        (a_list_without_end, 1, "no"),
    ],
)  # fmt: skip
def test_6_a_small_file_that_expands_to_gigabytes_is_refused_in_little_memory(
    outbox: Outbox, shop: Store, monkeypatch: pytest.MonkeyPatch, bomb: Callable[[Path], None], rows: int, word: str
) -> None:
    name = "cards.csv.gz" if bomb is gzip_bomb else "cards.parquet"
    monkeypatch.setattr(formats, "MOST_TEXT", 2**28)

    def spoil(manifest: Row, folder: Path) -> None:
        bomb(folder / name)
        content = (folder / name).read_bytes()
        said = {"file": name, "rows": rows, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        spoiled(**said)(manifest, folder)

    shop.has_applied_first(outbox)
    package = outbox.put(2, {"cards": [K3]}, {"cards": [K3]}, spoil=spoil)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert shop.apply(package) == [(2, "apply_failed", "bad_rows")]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024, "kB more at most"
    assert word in shop.ack(2).message
    assert shop.holds == sorted_rows(FIRST)


# ── rules 7 to 9 ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "wrong",
    [
        {"cards": 4}, {"available": {"points": "10.01"}}, {"available": {}}, {"tiers": {"club/gold": 1}},
        {"rows": {}}, {"customers": 1},
    ],
    ids=str,
)  # fmt: skip
def test_7_other_totals_roll_all_of_it_back(outbox: Outbox, shop: Store, wrong: Row) -> None:
    shop.has_applied_first(outbox)
    after = {**FIRST, "cards": [K1, K2, K3]}
    package = outbox.put(2, after, after, control_totals={**totals(after), **wrong})
    assert shop.apply(package) == [(2, "apply_failed", "totals")]
    assert shop.holds == sorted_rows(FIRST)
    assert shop.ack(2).control_totals == totals(after), "it says what it found"
    assert shop.ack(2).applied_sequence == 1


@pytest.mark.parametrize("step", ["_take_in", "_totals", "_remember"])
def test_8_a_receiver_that_dies_leaves_the_store_as_it_was_and_a_rerun_is_right(
    outbox: Outbox, shop: Store, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    shop.has_applied_first(outbox)
    after = {**FIRST, "cards": [K1, K2, K3]}
    outbox.put(2, {"cards": [f"U,{K3}"]}, after, on=[1])
    done = getattr(store, step)

    def dies(*arguments: Any, **named: Any) -> None:
        done(*arguments, **named)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, step, dies)
        with pytest.raises(KeyboardInterrupt):
            shop.apply(outbox.root)
    assert shop.holds == sorted_rows(FIRST)
    assert shop.apply(outbox.root) == [(2, "applied", None)]
    assert shop.holds == sorted_rows(after)


def test_8_a_fault_of_the_store_is_rolled_back_and_said(
    outbox: Outbox, shop: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.has_applied_first(outbox)
    package = outbox.put(2, {"cards": [K3]}, {"cards": [K3]})

    def full_disk(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(store, "_remember", full_disk)
        assert shop.apply(package) == [(2, "apply_failed", "fault")]
    assert shop.holds == sorted_rows(FIRST)
    assert shop.apply(package) == [(2, "applied", None)]


def test_9_an_acknowledgement_is_as_specified(outbox: Outbox, shop: Store) -> None:
    shop.apply(outbox.put(43, {"cards": [K3]}, {"cards": [K3]}))
    path = shop.inbox / "S001" / "1050" / "00000043.ack.json"
    assert json.loads(path.read_bytes()) == {
        "database": "S001", "job": "1050", "sequence": 43, "manifest_sha256": outbox.hashes[43], "attempt": 1,
        "status": "applied", "reason": None, "applied_sequence": 43, "applied_manifest_sha256": outbox.hashes[43],
        "rows": {"cards": 1}, "control_totals": totals({"cards": [K3]}), "message": "",
    }  # fmt: skip
    assert [entry.name for entry in path.parent.iterdir()] == ["00000043.ack.json"], "no .part is left"


def test_9_applied_files_are_deleted_and_others_are_not(outbox: Outbox, shop: Store) -> None:
    applied = outbox.put(1, FIRST, FIRST)
    refused = outbox.put(2, FIRST, {})
    shop.apply(outbox.root)
    assert not applied.exists()
    assert (refused / "manifest.json").exists()


def test_9_a_receiver_that_could_not_acknowledge_does_so_next_time(outbox: Outbox, shop: Store) -> None:
    package = outbox.put(1, FIRST, FIRST)
    shop.inbox.write_text("not a folder")
    with pytest.raises(KantaError, match="could not be written"):
        shop.apply(package)
    shop.inbox.unlink()
    assert shop.apply(package) == [(1, "applied", None)]
    assert (shop.ack(1).attempt, shop.holds) == (2, sorted_rows(FIRST))


def test_9_each_attempt_has_a_new_number_also_after_the_store_was_restored(outbox: Outbox, shop: Store) -> None:
    package = outbox.put(1, FIRST, {})
    shop.apply(package)
    shop.apply(package)
    assert shop.ack(1).attempt == 2
    shop.file.unlink()
    shop.apply(package)
    assert shop.ack(1).attempt == 3
    (shop.inbox / "S001" / "1050" / "00000001.ack.json").unlink()
    shop.apply(package)
    assert shop.ack(1).attempt == 4, "its own count, where the inbox is empty"


# ── asking the store ─────────────────────────────────────────────────────────────────────────────────────────────


def test_balance_answers_from_the_stores_own_database(outbox: Outbox, shop: Store) -> None:
    rows = {**FIRST, "card_balances": ["K1,club,cash,3.00,0.00,0.00", "K1,club,points,12.50,4.00,1.25"]}
    shop.apply(outbox.put(1, rows, rows))
    found = store_balance.balance(shop.file, "K1")
    assert [[str(value) for value in row.values()] for row in found] == [
        ["club", "cash", "3.00", "0.00", "0.00", "2026-11-20"],
        ["club", "points", "12.50", "4.00", "1.25", "2026-11-20"],
    ]
    assert "12.50 available" in store_balance.balance_text("K1", found)
    assert store_balance.balance(shop.file, "K9") == []
    assert "no points" in store_balance.balance_text("K9", [])


def test_balance_of_a_store_that_is_not_there_says_what_to_do(shop: Store) -> None:
    with pytest.raises(KantaError, match="kanta store apply"):
        store_balance.balance(shop.file, "K1")
    duckdb.connect(shop.file).close()
    assert store_balance.balance(shop.file, "K1") == []

"""Honest blemishes: what goes wrong between tills and head office, each once, each with what Kanta is to make of it.

All real receipts get through in the end; what is refused for good is made.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from scripts.sample.drops import Drop, Row
from scripts.sample.members import Member, card
from scripts.sample.shop import (
    BROKEN,
    CALL_CENTER,
    DAYS,
    LATE,
    REVISED,
    Receipt,
    Shop,
    local,
)
from scripts.sample.trade import household, made, pay_partly, points, returned

DOLLAR = Decimal("1.00")


@dataclass(frozen=True)
class Blemish:
    """Something wrong in a drop. ``expected``: quarantine | counts_once | late | replaced | kept."""

    id: str
    expected: str
    arrives_on: date
    drop: Drop
    why: str
    level: str | None = None  # quarantine: drop | transaction | record
    dataset: str | None = None
    row: Row | None = None
    record_key: str | None = None

    def told(self) -> dict[str, Any]:
        """As blemishes.json has it: the file and line of the offending row, counted from 1 with the header."""
        rows = self.drop.rows[self.dataset] if self.dataset else []
        first_line = 1 if self.drop.format == "ndjson" else 2
        return {
            "id": self.id,
            "expected": self.expected,
            "level": self.level,
            "arrives_on": self.arrives_on.isoformat(),
            "drop": self.drop.path,
            "revision": self.drop.revision,
            "file": self.drop.file(self.dataset) if self.dataset else None,
            "line": next((at for at, row in enumerate(rows, first_line) if row is self.row), None),
            "record_key": self.record_key,
            "why": self.why,
        }


@dataclass(frozen=True)
class Exceptional:
    """A receipt that stands, with a loyalty effect that cannot be honoured (2-loyalty section 7)."""

    transaction_id: str
    card_id: str
    reason: str
    business_date: str

    @classmethod
    def of(cls, receipt: Receipt, reason: str) -> Exceptional:
        return cls(receipt.id, receipt.card, reason, receipt.day.isoformat())


def late_and_broken(shop: Shop) -> list[Blemish]:
    """A late drop, a corrected one, a truncated one."""
    late = _reserved(shop, LATE)
    late.arrives_on = late.business_date + timedelta(3)  # a Tuesday that arrives after Thursday
    revised = _reserved(shop, REVISED)
    wrong = copy.deepcopy(revised)
    revised.revision, revised.arrives_on = 2, revised.business_date + timedelta(2)
    first = wrong.rows["transactions"][0]
    _raise(first, [row for row in wrong.rows["lines"] if row["transaction_id"] == first["transaction_id"]])
    whole = _reserved(shop, BROKEN)
    broken = copy.deepcopy(whole)
    broken.truncated = True
    whole.revision, whole.arrives_on = 2, whole.business_date + timedelta(2)
    shop.first_revisions += [wrong, broken]
    return [
        Blemish("late_drop", "late", late.arrives_on, late, "the store's line was down; its Tuesday comes on Friday"),
        Blemish(
            "revision",
            "replaced",
            revised.arrives_on,
            revised,
            "revision 1 has a receipt 10.00 too dear; revision 2 replaces the drop as a whole",
            dataset="transactions",
            row=revised.rows["transactions"][0],
            record_key=first["transaction_id"],
        ),
        Blemish(
            "wrong_hash",
            "quarantine",
            broken.business_date,
            broken,
            "the end of the lines file never came, so its hash is not control.json's; revision 2 comes whole",
            level="drop",
            dataset="lines",
        ),
    ]


def _reserved(shop: Shop, place: tuple[str, date]) -> Drop:
    store, day = place
    return shop.drops[f"pos/{day}/{store}"]


def _raise(header: Row, lines: list[Row]) -> None:
    """Makes a receipt ten dollars dearer, consistently; its tenders stay."""
    ten = 10 * DOLLAR
    lines[0] |= {"net_amount": lines[0]["net_amount"] + ten}
    header |= {"net_amount": header["net_amount"] + ten, "total_amount": header["total_amount"] + ten}


def copies(shop: Shop) -> list[Blemish]:
    """A receipt sent again three days later as it was, and one that differs."""
    found = []
    for kind, store, week in (("duplicate", "S00372", 1), ("differing_copy", "S00321", 2)):
        receipt = next(
            r for r in shop.receipts if r.drop.source == store and r.day >= DAYS[7 * week] and len(r.lines) > 1
        )
        day = shop.next_open(store, receipt.day + timedelta(3))
        again = copy.deepcopy(receipt)
        again.drop = shop.drop("pos", day, store)
        if kind == "differing_copy":
            _raise(again.header, again.lines)
        shop.take(again)
        same = kind == "duplicate"
        found.append(
            Blemish(
                kind,
                "counts_once" if same else "quarantine",
                day,
                again.drop,
                "the till sent a receipt again" + ("" if same else ", ten dollars dearer; the first one counts"),
                level=None if same else "transaction",
                dataset="transactions",
                row=again.header,
                record_key=receipt.id,
            )
        )
    return found


def bad_rows(shop: Shop, people: dict[int, Member]) -> list[Blemish]:
    """Rows that cannot be right, each in a receipt or record of its own; their drops say no totals."""
    bad = _spoiled(shop) + _orphans(shop) + _bad_records(shop, people)
    for blemish in bad:
        blemish.drop.totals = False
    return bad


#: Receipts spoiled in one row: id, store, week, lines of the receipt, dataset, what is wrong in its last row, why.
SPOILED: tuple[tuple[str, str, int, int, str, Row, str], ...] = (
    ("bad_number", "S00321", 1, 1, "lines", {"net_amount": "12,50"}, "a comma in a number"),
    ("unknown_type", "S00372", 2, 1, "transactions", {"type": "refund"}, "a type nobody knows"),
    ("header_sum", "S00367", 2, 1, "transactions", {"net_amount": 99 * DOLLAR, "total_amount": 99 * DOLLAR},
     "the header is not the sum of its lines"),
    ("future_date", "S00372", 3, 1, "transactions", {"business_date": "2018-01-01"}, "a date after its drop's"),
    ("year_one", "S00427", 3, 1, "transactions", {"business_date": "0001-01-01"}, "a till without a clock"),
    ("bad_time", "S00427", 4, 1, "transactions", {"ended_at": "2017-11-31T25:00:00-05:00"}, "a time that no day has"),
    ("line_twice", "S00356", 4, 2, "lines", {"line_no": 1, "product_id": "1"}, "two different lines, one number"),
    ("no_id", "S00424", 4, 0, "transactions", {"transaction_id": ""}, "a receipt without its id"),
)  # fmt: skip


def _spoiled(shop: Shop) -> list[Blemish]:
    found = []
    for name, store, week, lines, dataset, wrong, why in SPOILED:
        receipt = made(shop, shop.next_open(store, DAYS[7 * week + 1]), store, [_plain_line(shop)] * lines)
        row = receipt.lines[-1] if dataset == "lines" else receipt.header
        row |= wrong
        place = ("quarantine", receipt.drop.business_date, receipt.drop)
        found.append(Blemish(name, *place, why, "transaction", dataset, row, receipt.id))
    return found


def _plain_line(shop: Shop) -> Row:
    model = next(receipt for receipt in shop.receipts if len(receipt.lines) > 1)
    return {name: model.lines[0][name] for name in ("kind", "product_id", "quantity", "unit_price", "net_amount")}


def _orphans(shop: Shop) -> list[Blemish]:
    found = []
    tender: Row = {"tender_no": 1, "type": "cash", "amount": DOLLAR, "currency": "USD"}
    line: Row = {"line_no": 1, "discount_amount": 0 * DOLLAR, "tax_amount": 0 * DOLLAR, "voided": False} | _plain_line(
        shop
    )
    for name, dataset, store, row in (
        ("orphan_line", "lines", "S00321", line),
        ("orphan_tender", "tenders", "S00372", tender),
    ):
        drop = shop.drop("pos", shop.next_open(store, DAYS[29]), store)
        row["transaction_id"] = f"M-{store}-LOST"
        drop.add(dataset, row)
        why = "its receipt never came"
        place = ("quarantine", drop.business_date, drop)
        found.append(Blemish(name, *place, why, "transaction", dataset, row, row["transaction_id"]))
    return found


def _bad_records(shop: Shop, people: dict[int, Member]) -> list[Blemish]:
    hq, desk = shop.hq(DAYS[9]), shop.drop("call_center", DAYS[15], CALL_CENTER)
    member = next(iter(people.values()))
    platinum = card(member, "CJ8000001", local(DAYS[9], 9)) | {"card_type": "platinum"}
    adjustment = hq.rows["loyalty_adjustments"][0] | {"adjustment_id": "ADJ9001", "points": "ten"}
    order = desk.rows["orders"][0] | {"order_id": "O999999", "status": "shipped"}
    found = []
    for name, drop, dataset, row, key, level, why in (
        ("unknown_card_type", hq, "loyalty_cards", platinum, "card_id", "record", "a card type nobody knows"),
        ("points_in_words", hq, "loyalty_adjustments", adjustment, "adjustment_id", "record", "points in words"),
        ("unknown_status", desk, "orders", order, "order_id", "transaction", "an order status nobody knows"),
    ):
        drop.add(dataset, row)
        found.append(Blemish(name, "quarantine", drop.business_date, drop, why, level, dataset, row, row[key]))
    return found


def oddities(shop: Shop) -> list[Blemish]:
    """An old till's file, which looks wrong and is not, and a name that a spreadsheet would run."""
    old = shop.drop("pos", shop.next_open("S00372", DAYS[11]), "S00372")
    old.bom = True
    hq = shop.hq(DAYS[14])
    person = {
        "operation_id": "HQ-FORMULA",
        "operation": "create",
        "mode": "sync",
        "operated_at": local(DAYS[14], 9),
        "customer_id": "C00002990",
        "customer_type": "person",
        "first_name": '=HYPERLINK("https://example.com","gift")',
        "last_name": "Formula",
    }
    hq.add("customers", person)
    why = "a byte order mark, CRLF and a blank line at the end"
    return [
        Blemish("old_till", "kept", old.business_date, old, why, None, "lines", old.rows["lines"][0], None),
        Blemish(
            *("formula_name", "kept", hq.business_date, hq, "a name that a spreadsheet would run", None),
            *("customers", person, None),
        ),
    ]


def exceptions(shop: Shop, people: dict[int, Member], untouched: set[str], quiet: set[int]) -> list[Exceptional]:
    """Receipts that stand although their points cannot, at least one for each reason.

    ``untouched``: receipts still as the source has them; ``quiet``: households that never paid with points.
    """

    def pick(kind: str, first: int, last: int) -> Receipt:
        for receipt in shop.receipts:
            owner = household(receipt.card)
            right = receipt.id in untouched and owner in quiet and DAYS[first] <= receipt.day <= DAYS[last]
            if right and people[owner].card_type == kind and receipt.header["total_amount"] >= 12:
                quiet.discard(owner)
                return receipt
        raise LookupError(kind)

    found = []
    for reason, receipt, dollars, number in (
        ("overdrawn", pick("as_card_tender", 1, 9), 5, 500),
        ("no_rule", pick("as_card_tender", 20, 41), 5, 300),
        ("no_tender_card", pick("no_tender", 0, 41), 1, 100),
    ):
        pay_partly(receipt, points(receipt, dollars, number))
        found.append(Exceptional.of(receipt, reason))
    stolen = people[household(pick("as_card_tender", 21, 30).card)]
    issued = local(stolen.enrolled_from, 0)
    shop.hq(DAYS[21]).add("loyalty_cards", card(stolen, stolen.card_id, issued) | {"card_type": "blocked"})
    blocked = [r for r in shop.receipts if r.card == stolen.card_id and r.day >= DAYS[21]]
    found += [Exceptional.of(receipt, "blocked_card") for receipt in blocked]
    day = shop.next_open("S00367", DAYS[23])
    stranger = made(shop, day, "S00367", [_plain_line(shop)], loyalty_card_id="CJ9999999")
    found.append(Exceptional.of(stranger, "unknown_card"))
    model = next(receipt for receipt in shop.receipts if receipt.drop.source == "S00367" and len(receipt.lines) > 1)
    lost = returned(model.lines[0], Decimal(1)) | {"original_transaction_id": "M-S00367-LOST"}
    names = {"customer_id": model.header["customer_id"], "loyalty_card_id": model.card}
    found.append(Exceptional.of(made(shop, day, "S00367", [lost], type="return", **names), "original_unknown"))
    return found

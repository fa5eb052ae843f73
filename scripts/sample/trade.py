"""What the source lacks and a loyalty program lives on: second cards, returns, paying with points, gift cards.

Lines and amounts of real receipts stay as they are; only how they were paid (which the source does not say) is made.
Made receipts have ids that begin with ``M-``.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal

from scripts.sample.drops import Row
from scripts.sample.members import Member, card
from scripts.sample.shop import CENT, DAYS, FIRST, LAST, PROGRAM, REWARD_POINT, Receipt, Shop, draw, local

#: Points are paid with only what the plainest programme surely gave: a point per whole dollar, usable after 14 days.
VESTING = timedelta(14)
POINTS_PER_DOLLAR = 100

ZERO = Decimal("0.00")


def carry_cards(shop: Shop, people: dict[int, Member]) -> None:
    """Which customer and card each real receipt names: a few households use a second card every third time."""
    second: set[int] = set()
    for receipt in shop.receipts:
        member = people[household(receipt.card)]
        receipt.header["customer_id"] = member.customer_id
        regular = member.card_type == "as_contact_tender" and member.enrolled_from <= FIRST
        if not regular or draw(12, "second card", member.household):
            continue
        if member.household not in second:
            second.add(member.household)
            issued = local(member.enrolled_from, 0)
            shop.hq(FIRST).add("loyalty_cards", card(member, f"CJ1{member.household:06}", issued))
        if draw(3, "which card", receipt.id) == 0:
            receipt.header["loyalty_card_id"] = f"CJ1{member.household:06}"


def household(card_id: str) -> int:
    """Whose card it is: the last six digits."""
    return int(card_id[-6:])


# Made receipts


def made(shop: Shop, day: date, store: str, lines: Iterable[Row], **header: str) -> Receipt:
    """A made receipt at register R9 of a store, numbered after those already there, paid in cash."""
    drop = shop.drop("pos", day, store)
    number = 1 + sum(row["transaction_id"].startswith("M-") for row in drop.rows.get("transactions", []))
    identity: Row = {"transaction_id": f"M-{store}-{day:%Y%m%d}-{number:02}"}
    rows: list[Row] = [
        {"line_no": line_no, "tax_amount": ZERO, "discount_amount": ZERO, "voided": False} | line | identity
        for line_no, line in enumerate(lines, 1)
    ]
    at = local(day, 20, number)
    net = sum((row["net_amount"] for row in rows if not row["voided"]), ZERO)
    receipt = Receipt(
        drop,
        identity
        | {
            "store_id": store,
            "register_id": "R9",
            "transaction_no": number,
            "business_date": day,
            "started_at": at,
            "ended_at": at,
            "type": "sale",
            "status": "completed",
            "currency": "USD",
            "net_amount": net,
            "tax_amount": ZERO,
            "charges_amount": ZERO,
            "discount_amount": sum((row["discount_amount"] for row in rows if not row["voided"]), ZERO),
            "total_amount": net,
            "offline": False,
        }
        | header,
        rows,
    )
    if net:
        pay(receipt, [{"type": "cash", "amount": net}])
    shop.take(receipt)
    return receipt


def pay(receipt: Receipt, tenders: list[Row]) -> None:
    """Gives a receipt these tenders instead of what it had, also where its drop already holds them."""
    rows = [
        {"transaction_id": receipt.id, "tender_no": number, "currency": "USD"} | tender
        for number, tender in enumerate(tenders, 1)
    ]
    held = receipt.drop.rows.setdefault("tenders", [])
    if any(row["transaction_id"] == receipt.id for row in held):
        held[:] = [row for row in held if row["transaction_id"] != receipt.id] + rows
    receipt.tenders = rows


def pay_partly(receipt: Receipt, tender: Row) -> None:
    """Pays a part with ``tender`` and leaves the rest to what was there."""
    rest = receipt.header["total_amount"] - tender["amount"]
    first = {"type": receipt.tenders[0]["type"], "amount": rest}
    pay(receipt, [tender, first] if rest else [tender])


def points(receipt: Receipt, dollars: int, taken: int) -> Row:
    """A loyalty tender: what it pays and the points taken for it (given back: both negative)."""
    return {
        "type": "loyalty",
        "amount": Decimal(dollars).quantize(CENT),
        "loyalty_card_id": receipt.card,
        "reward_point_id": REWARD_POINT,
        "points": Decimal(taken).quantize(CENT),
    }


# Returns


def returned(line: Row, pieces: Decimal) -> Row:
    """The return line for so many pieces of a sale line, its amounts in proportion, half up to cents."""
    share = pieces / line["quantity"]
    return {
        "kind": "return",
        "product_id": line["product_id"],
        "quantity": -pieces,
        "unit_price": line["unit_price"],
        "discount_amount": -(line["discount_amount"] * share).quantize(CENT, ROUND_HALF_UP),
        "net_amount": -(line["net_amount"] * share).quantize(CENT, ROUND_HALF_UP),
        "original_transaction_id": line["transaction_id"],
        "original_line_no": line["line_no"],
    }


def _returnable(receipt: Receipt) -> list[Row]:
    return [
        line
        for line in receipt.lines
        if line["kind"] == "sale" and line["net_amount"] > 0 and line["quantity"] > 0 and line["quantity"] % 1 == 0
    ]


def _brings_back(shop: Shop, receipt: Receipt, day: date, lines: list[Row], **header: str) -> Receipt | None:
    open_day = shop.open_day(receipt.drop.source, day)
    if not open_day or not lines:
        return None
    names = {"customer_id": receipt.header["customer_id"], "loyalty_card_id": receipt.card}
    return made(shop, open_day, receipt.drop.source, lines, **({"type": "return"} | names | header))


def returns(shop: Shop) -> set[str]:
    """About one real receipt in a hundred is partly brought back within ten days; the ids of those that were.

    Besides: everything of one receipt on the same day, one exchange, one return without a receipt.
    """
    gone: set[str] = set()
    for receipt in shop.receipts:
        lines = _returnable(receipt)
        if draw(85, "return", receipt.id) or not lines:
            continue
        chosen = sorted({draw(len(lines), "line", turn, receipt.id) for turn in range(2)})
        pieces = [Decimal(1 + draw(int(lines[at]["quantity"]), "pieces", receipt.id)) for at in chosen]
        back = [returned(lines[at], count) for at, count in zip(chosen, pieces, strict=True)]
        if _brings_back(shop, receipt, receipt.day + timedelta(1 + draw(10, "days", receipt.id)), back):
            gone.add(receipt.id)
    small = [r for r in shop.receipts if 2 <= len(r.lines) == len(_returnable(r)) <= 4 and r.id not in gone]
    whole, exchanged, unlinked = small[:3]
    _brings_back(shop, whole, whole.day, [returned(line, line["quantity"]) for line in whole.lines])
    old = exchanged.lines[0]
    new = {name: exchanged.lines[1][name] for name in ("kind", "product_id", "quantity", "unit_price")}
    new |= {name: exchanged.lines[1][name] for name in ("discount_amount", "net_amount")}
    _brings_back(shop, exchanged, exchanged.day + timedelta(2), [returned(old, old["quantity"]), new], type="exchange")
    nameless = returned(unlinked.lines[0], unlinked.lines[0]["quantity"])
    del nameless["original_transaction_id"], nameless["original_line_no"]
    _brings_back(shop, unlinked, unlinked.day + timedelta(3), [nameless])
    return gone | {whole.id, exchanged.id, unlinked.id}


# Points paid with


def redemptions(shop: Shop, people: dict[int, Member], gone: set[str]) -> list[Receipt]:
    """Some of the later receipts are paid partly with points, never more than surely usable by then.

    Two of them are partly brought back, and points given back with them. ``gone``: receipts brought back, which earn
    nothing here.
    """
    eligible = _eligible(shop)
    usable: dict[str, list[tuple[date, int]]] = {}
    paid: list[Receipt] = []
    for receipt in shop.receipts:
        member = people[household(receipt.card)]
        if member.staff or member.card_type == "no_tender" or receipt.id in gone:
            continue
        account = usable.setdefault(receipt.card, [])
        held = sum(number for day, number in account if day <= receipt.day)
        dollars = min(held // POINTS_PER_DOLLAR, int(receipt.header["total_amount"] // 2))
        if dollars and not receipt.reserved and draw(20, "redeem", receipt.id) == 0:
            pay_partly(receipt, points(receipt, dollars, POINTS_PER_DOLLAR * dollars))
            account.append((receipt.day, -POINTS_PER_DOLLAR * dollars))
            paid.append(receipt)
        else:
            account.append((receipt.day + VESTING, _earned(receipt, eligible)))
    _give_back(shop, paid)
    return paid


def _eligible(shop: Shop) -> set[str]:
    return {row["product_id"] for row in shop.hq(FIRST).rows["products"] if row["eligible_points"]}


def _earned(receipt: Receipt, eligible: set[str]) -> int:
    return int(sum(line["net_amount"] for line in receipt.lines if line["product_id"] in eligible))


def _give_back(shop: Shop, paid: list[Receipt]) -> None:
    done = 0
    for receipt in paid:
        lines = [line for line in _returnable(receipt) if line["net_amount"] / line["quantity"] >= 1]
        if not lines or done == 2 or receipt.day > LAST - timedelta(4):
            continue
        back = _brings_back(shop, receipt, receipt.day + timedelta(1), [returned(lines[0], Decimal(1))])
        if back:
            total, by_points = back.header["total_amount"], receipt.tenders[0]["amount"]
            dollars = -int(min(-total, by_points))
            rest = total - dollars
            given = points(receipt, dollars, POINTS_PER_DOLLAR * dollars)
            pay(back, [given, *([{"type": "cash", "amount": rest}] if rest else [])])
            done += 1


def savers(shop: Shop, gone: set[str]) -> set[str]:
    """Cards that paid nothing with points in the stores and surely earned 100 in the first week."""
    eligible = _eligible(shop)
    earned: dict[str, int] = {}
    for receipt in shop.receipts:
        if receipt.day < FIRST + timedelta(7) and receipt.id not in gone:
            earned[receipt.card] = earned.get(receipt.card, 0) + _earned(receipt, eligible)
    used = {receipt.card for receipt in shop.receipts if any(tender["type"] == "loyalty" for tender in receipt.tenders)}
    return {card_id for card_id, number in earned.items() if number >= POINTS_PER_DOLLAR} - used


# Gift cards, odd receipts, adjustments


def gift_cards(shop: Shop) -> None:
    """Eight gift cards are sold at the till, two given by head office, and used on later receipts of the same card."""
    buyers = [
        r
        for r in shop.receipts
        if draw(120, "gift card", r.id) == 0 and r.day < LAST - timedelta(14) and not r.reserved
    ]
    for number, receipt in enumerate(buyers[:10], 1):
        gift_card, amount = f"GC{number:06}", Decimal((10, 25, 50)[draw(3, "amount", number)]).quantize(CENT)
        given = number > 8
        record = {"gift_card_id": gift_card, "currency": "USD", "company": "CJUS", "opened_on": receipt.day}
        shop.hq(receipt.day).add("gift_cards", record | {"amount": amount if given else ZERO})
        if not given:
            line = {
                "kind": "gift_card",
                "product_id": "GIFT-CARD",
                "quantity": Decimal("1.000"),
                "gift_card_id": gift_card,
            }
            names = {"customer_id": receipt.header["customer_id"], "loyalty_card_id": receipt.card}
            price = {"unit_price": amount.quantize(Decimal("0.0001")), "net_amount": amount}
            made(shop, receipt.day, receipt.drop.source, [line | price], **names)
        for later in shop.receipts:
            plain = len(later.tenders) == 1 and not later.reserved and later.day > receipt.day + timedelta(2)
            if later.card == receipt.card and plain and amount:
                used = min(amount, later.header["total_amount"])
                pay_partly(later, {"type": "gift_card", "amount": used, "gift_card_id": gift_card})
                amount -= used


def odd_receipts(shop: Shop) -> None:
    """Receipts that tills send and that must not count, and a voided line within one that does."""
    model = next(receipt for receipt in shop.receipts if len(receipt.lines) >= 2 and receipt.drop.source == "S00367")
    copied = ("kind", "product_id", "quantity", "unit_price", "discount_amount", "net_amount")
    lines = [{name: line[name] for name in copied} for line in model.lines[:2]]
    names = {"customer_id": model.header["customer_id"], "loyalty_card_id": model.card}
    for week, odd in enumerate(({"status": "voided"}, {"status": "suspended"}, {"status": "training"}), 1):
        made(shop, shop.next_open("S00367", DAYS[7 * week]), "S00367", lines, **(names | odd))
    day = shop.next_open("S00367", DAYS[8])
    made(shop, day, "S00367", [], type="control")
    made(shop, day, "S00367", [lines[0], lines[1] | {"voided": True}], **names)


def adjustments(shop: Shop, people: dict[int, Member], paid: list[Receipt]) -> None:
    """Head office adds points for goodwill and takes some back, on Wednesdays, on cards that never paid with points."""
    busy = {household(receipt.card) for receipt in paid}
    quiet = [member for member in people.values() if member.household not in busy and member.enrolled_from <= FIRST]
    for number in range(1, 13):
        day = DAYS[2 + 7 * (number % 6)]
        signed = (50, 100, -25)[draw(3, "points", number)]
        comment = "goodwill: queue at the till" if signed > 0 else "booked twice"
        shop.hq(day).add(
            "loyalty_adjustments",
            {
                "adjustment_id": f"ADJ{number:04}",
                "card_id": quiet[draw(len(quiet), "adjusted", number)].card_id,
                "program_id": PROGRAM,
                "reward_point_id": REWARD_POINT,
                "points": Decimal(signed).quantize(CENT),
                "date": day,
                "comment": comment,
            },
        )

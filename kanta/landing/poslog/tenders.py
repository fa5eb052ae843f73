"""Tenders of a POSLog receipt, and the points it says were awarded or redeemed."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from kanta.landing.poslog.elements import Node
from kanta.landing.poslog.readings import Row, amount_of, card_of, cents_of, exact_of, money, rounded
from kanta.landing.poslog.sales import KINDS, once

_TENDERS = {
    "Cash": "cash", "CreditDebit": "card", "Credit": "card", "Debit": "card", "CreditCard": "card", "DebitCard": "card",
    "Check": "check", "Cheque": "check", "TravelersCheck": "check", "GiftCard": "gift_card",
    "GiftCertificate": "gift_card", "StoredValue": "gift_card", "StoredValueFund": "gift_card", "Loyalty": "loyalty",
    "LoyaltyPoints": "loyalty", "Points": "loyalty", "CustomerAccount": "on_account", "OnAccount": "on_account",
    "AccountsReceivable": "on_account", "HouseAccount": "on_account",
}  # fmt: skip
_POINTS = {
    "": ("awarded", 1), "Credited": ("awarded", 1), "PointsEarned": ("awarded", 1), "Assigned": ("awarded", 1),
    "PointsAdjustment": ("awarded", 1), "Reversal": ("awarded", -1), "Debited": ("redeemed", 1),
    "Redeemed": ("redeemed", 1),
}  # fmt: skip


def tenders_of(retail: Node, currency: str, *, negative: bool) -> Iterator[tuple[int, Row]]:
    """Tender rows with their document lines: change is a negative tender, cash rounding none."""
    number = 0
    voided: set[int] = set()
    items = retail.all("LineItem")
    for i, item in enumerate(items):  # a flagged copy turned round voids what it copies
        tender = item.first("Tender")
        if tender and item.flag("VoidFlag"):
            voided.add(i)
            copied = (amount_of(tender, "Amount") or Decimal(0), tender.code("TenderType"))
            for j in range(i - 1, -1, -1):
                before = items[j].first("Tender")
                same = before and before.code("TenderType") == copied[1] and amount_of(before, "Amount") == -copied[0]
                if j not in voided and same and copied[0] < 0:
                    voided.add(j)
                    break
    for i, item in enumerate(items):
        if i in voided or item.struck:
            continue
        for tender in (*item.all("Tender"), *item.all("TenderChange")):
            for part, change in _payments(tender):
                amount = amount_of(part, "Amount", places=2)
                if amount is None:
                    continue
                if change or tender.code("TypeCode") == "Refund" or (negative and not tender.code("TypeCode")):
                    amount = -abs(amount)
                number += 1
                paid = part.first("Amount")
                own = paid.attributes.get("Currency", "") if paid else ""
                kind = _TENDERS.get(part.code("TenderType") or tender.code("TenderType"), "cash" if change else "other")
                points = amount_of(part, "PointsRedeemed", "Points", places=2) if kind == "loyalty" else None
                yield (
                    item.line,
                    {
                        "tender_no": str(number),
                        "type": kind,
                        "amount": money(cents_of(amount)),
                        "currency": own if own and own != "XXX" else currency,
                        "loyalty_card_id": card_of(part) if kind == "loyalty" else "",
                        "points": "" if points is None else rounded(points, 2),
                        "gift_card_id": part.deep_value("GiftCardID", "CardNumber") if kind == "gift_card" else "",
                    },
                )


def _payments(tender: Node) -> Iterator[tuple[Node, bool]]:
    """What was tendered and what was given back as change, which may stand inside it."""
    if tender.name == "Tender":
        yield tender, False
    elif tender.first("Amount"):
        yield tender, True
    for part in tender.all("TenderChange"):
        yield part, True


def declared_points(retail: Node, card: str) -> list[Row]:
    """Points the document states, each once: in the finest detail that adds up to what the receipt as a whole says."""
    items = [item for item in retail.all("LineItem") if not item.struck]
    fine = [
        row for item in items for content in item.children if content.name in KINDS for row in _points(content, item)
    ]
    middle = list(_reward_points(items))
    whole = [row for account in retail.all("LoyaltyAccount") for row in _points(account, None)]
    found = []
    for kind in ("awarded", "redeemed"):
        levels = [[row for row in level if row["kind"] == kind] for level in (fine, middle, whole)]
        sums = [sum((Decimal(row["points"]) for row in level), Decimal(0)) for level in levels]
        if levels[2] and sums[0] + sums[1] == sums[2]:
            chosen = levels[0] + levels[1]
        elif levels[0] and levels[1] and sums[0] == sums[1]:
            chosen = levels[0]
            if levels[2] and sums[2] != sums[0]:
                chosen = levels[2]
        else:
            chosen = levels[2] or levels[0] + levels[1]
        found += chosen
    return [row | {"loyalty_card_id": row["loyalty_card_id"] or card} for row in found]


def _points(part: Node, item: Node | None) -> Iterator[Row]:
    """Points stated inside a line or an account, by the type the document gives them."""
    for node in part.deep("Points", "PointsAwarded", "PointsRedeemed"):
        kind, sign = ("awarded", 1) if node.name == "PointsAwarded" else ("redeemed", 1)
        if node.name == "Points":
            if node.attributes.get("Type", "") not in _POINTS:
                continue  # balances, sums of others, a vendor's own
            kind, sign = _POINTS[node.attributes.get("Type", "")]
        if node.text and (points := sign * exact_of(node.text, node.name)):
            yield _point(part, item, kind, points, f"{part.name}/{node.name}")


def _reward_points(items: list[Node]) -> Iterator[Row]:
    rewards = [(item, part) for item in items for part in item.all("LoyaltyReward")]
    kept = {id(part) for part in once([part for _, part in rewards])}
    for item, part in rewards:
        if id(part) in kept:
            yield from _points(part, item)
            said = part.value("RewardCategory") + part.value("RewardType")
            if "Point" in said and (points := amount_of(part, "ExtendedRewardAmount", places=2)):
                yield _point(part, item, "awarded", points, "LoyaltyReward/ExtendedRewardAmount")
    for item in items:
        for part in item.all("LoyaltyRedemption"):
            back = -1 if part.code("TypeCode") in ("AwardRefund", "RebateRefund", "RedemptionRefund") else 1
            for row in _points(part, item):
                yield row | {"points": rounded(back * Decimal(row["points"]), 2)}
        for part in item.all("Points"):
            if part.text and (points := exact_of(part.text, "Points")):
                yield _point(part, item, "awarded", points, "Points")


def _point(part: Node, item: Node | None, kind: str, points: Decimal, element: str) -> Row:
    return {
        "line_no": item.value("SequenceNumber") if item else "",
        "loyalty_card_id": part.deep_value("PrimaryAccountNumber", "LoyaltyAccountID", "LoyaltyID"),
        "program_id": part.deep_value("LoyaltyProgramID"),
        "kind": kind,
        "points": rounded(points, 2),
        "element": element,
    }

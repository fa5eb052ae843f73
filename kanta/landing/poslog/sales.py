"""The lines of a POSLog receipt, settled against its own totals.

What vendors write differs from the schema, so figures are settled against the document's own totals: whether prices
include tax, and whether discounts stated as lines of their own are already in the amounts. Where nothing fits, the
document's totals stand, and the router refuses the transaction because its lines do not add up to them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

from kanta.landing.poslog.elements import Node
from kanta.landing.poslog.readings import (
    Row,
    TransactionError,
    amount_of,
    cents_of,
    exact_of,
    money,
    place_of,
    rounded,
    spread,
    whole_of,
)

_SALES = ("Sale", "SaleForDelivery", "SaleForPickup", "FuelSale")
_RETURNS = ("Return", "ReturnForDelivery", "ReturnForPickup")
KINDS = {
    **dict.fromkeys(_SALES, "sale"),
    **dict.fromkeys(_RETURNS, "return"),
    **dict.fromkeys(("SaleOfGiftCard", "GiftCertificate", "StoredValueFundSale"), "gift_card"),
    "Deposit": "deposit",
    **dict.fromkeys(("PaymentOnAccount", "Donation", "Fee", "Tip"), "other"),
}
_PRICES = ("ActualSalesUnitPrice", "RegularSalesUnitPrice", "UnitListPrice", "SuggestedPrice")
_ITEM_TYPES = {
    "Deposit": "deposit",
    "GiftCard": "gift_card",
    "GiftCertificate": "gift_card",
    "StoredValue": "gift_card",
}


class Line:
    """One line of goods; amounts in cents, signed as Sale or Return says."""

    def __init__(self, item: Node, content: Node, position: int) -> None:
        self.node, self.content = item, content
        self.number = whole_of(item.value("SequenceNumber"), position, "SequenceNumber")
        self.voided = item.struck
        quantity = amount_of(content, "Quantity", places=3)
        said = amount_of(content, "ExtendedAmount", "Amount", places=2)
        price = amount_of(content, *_PRICES, places=4)
        self.quantity = Decimal(1) if quantity is None else quantity
        discount = amount_of(content, "ExtendedDiscountAmount", "DiscountAmount", places=2) or Decimal(0)
        if said is None:
            if price is None:
                raise TransactionError("a line has no amount")
            said = price * self.quantity - abs(discount)
        self.written, self.turned = said, said < 0 or self.quantity < 0
        back = content.name in _RETURNS or (content.name in _SALES and self.quantity < 0)
        if back:
            self.quantity, said = -abs(self.quantity), -abs(said)
        self.amount = cents_of(said)
        self.kind = "return" if back else _ITEM_TYPES.get(content.code("ItemType"), KINDS[content.name])
        self.discount = cents_of(-abs(discount) if back else abs(discount))
        self.unit_price = price if price is not None else abs(said / (self.quantity or 1))
        taxes = [amount_of(tax, "Amount") for tax in content.all("Tax")]
        stated = [tax for tax in taxes if tax is not None]
        self.tax = cents_of(sum(stated, Decimal(0))) if stated else None
        if back and self.tax is not None:
            self.tax = -abs(self.tax)
        self.net = self.amount
        self.product = content.value("ItemID") or next(
            (part.value("POSItemID") for part in content.all("POSIdentity") if part.value("POSItemID")),
            content.value("SpecialOrderNumber") or content.name,
        )

    def row(self, header: Row) -> Row:
        gift_card = ""
        if self.kind == "gift_card":
            gift_card = self.content.deep_value("GiftCardID", "CardNumber", "PrimaryAccountNumber", "SerialNumber")
        return {
            "line_no": str(self.number),
            "kind": self.kind,
            "product_id": self.product,
            "quantity": rounded(self.quantity, 3),
            "unit_price": rounded(self.unit_price, 4),
            "discount_amount": money(self.discount),
            "net_amount": money(self.net),
            "tax_amount": money(self.tax or 0),
            "voided": "true" if self.voided else "false",
            "gift_card_id": gift_card,
            **self._link(header),
        }

    def _link(self, header: Row) -> Row:
        """The line a returned one was bought on, by the four parts of its receipt's id; never by TransactionID."""
        if self.kind != "return":
            return {}
        for link in (*self.content.all("TransactionLink"), *self.node.all("TransactionLink")):
            if link.code("ReasonCode") in ("", "Return"):
                store, register, day, number = place_of(link)
                if register and day and number:
                    line = link.value("LineItemSequenceNumber")
                    original = f"{store or header['store_id']}-{register}-{day}-{number}"
                    return {"original_transaction_id": original, "original_line_no": line}
        return {}


@dataclass(frozen=True)
class _Reward:
    """A discount that stands on a line of its own, in cents; ``of`` is the line it belongs to, where that is said."""

    amount: int
    of: Line | None


class Sales:
    """What a RetailTransaction sold, and its figures settled against its totals."""

    def __init__(self, retail: Node) -> None:
        self.retail = retail
        self.items = retail.all("LineItem")
        #: What stands on lines of its own or in tenders, by name.
        self.parts: dict[str, list[Node]] = {}
        for part in (part for one in self.items if not one.struck for part in one.children):
            for inner in (part, *(part.children if part.name in ("Tender", "TenderChange") else ())):
                self.parts.setdefault(inner.name, []).append(inner)
        self.lines: list[Line] = []
        for position, item in enumerate(self.items, 1):
            content = next((part for part in item.children if part.name in KINDS), None)
            if content is not None:
                self.lines.append(Line(item, content, position))
        for line in list(self.lines):
            if line.voided:
                self._void_original(line)
        for item in self.items:
            if (voids := item.first("Voids")) and not item.flag("VoidFlag"):
                self._void_linked(voids)
        self._link_from_header()

    def _void_original(self, copy: Line) -> None:
        """Some registers void a line by a flagged copy with the amount turned round: then the line is void too."""
        target = _link_number(copy.node.first("ItemLink"))
        for line in reversed(self.lines[: self.lines.index(copy)]):
            same = line.content.name == copy.content.name and line.product == copy.product
            turned = copy.turned and not line.turned and abs(line.written) == abs(copy.written)
            if not line.voided and (line.number == target or (target is None and same and turned)):
                line.voided = True
                return

    def _void_linked(self, voids: Node) -> None:
        target, quantity = _link_number(voids.first("ItemLink") or voids), amount_of(voids, "Quantity")
        for line in self.lines:
            if line.number == target and not line.voided:
                if quantity is None or abs(quantity) >= abs(line.quantity):
                    line.voided = True
                else:  # some pieces of several
                    kept = 1 - abs(quantity / line.quantity)
                    line.quantity *= kept
                    line.amount = line.net = cents_of(Decimal(line.amount).scaleb(-2) * kept)

    def _link_from_header(self) -> None:
        """A receipt may say once for all its returns where they were bought."""
        links = [part for part in self.retail.all("TransactionLink") if part.code("ReasonCode") == "Return"]
        for line in self.lines:
            if links and line.kind == "return" and not line.content.all("TransactionLink"):
                line.content.add(links[0])

    @property
    def counted(self) -> list[Line]:
        return [line for line in self.lines if not line.voided]

    def counted_sum(self) -> int:
        return sum(line.amount for line in self.counted)

    @property
    def type(self) -> str:
        """sale, return or exchange, by what its lines are; empty without lines."""
        kinds = {line.kind == "return" for line in self.counted or self.lines}
        if len(kinds) == 2:
            return "exchange"
        return {True: "return", False: "sale"}[kinds.pop()] if kinds else ""

    def settled(self) -> Row:
        """The header's amounts; sets net, tax and discount of the lines on the way."""
        lines, gross = self.counted, self.counted_sum()
        sign = -1 if gross < 0 else 1
        stated_net, stated_total = (
            self._total("TransactionNetAmount", sign),
            self._total("TransactionGrandAmount", sign),
        )
        tax, rewards = self._tax(sign), self._rewards()
        reduced = sum(reward.amount for reward in rewards)
        rounding = sum(
            cents_of(abs(exact_of(part.text, "Rounding"))) for part in self.parts.get("Rounding", ()) if part.text
        )

        def fits(apply: bool, included: bool, *, by_net: bool = True) -> bool:
            total = gross - (reduced if apply else 0) + (0 if included else tax)
            nets = {total - tax, total} if included else {total - tax}
            return (stated_net is None or not by_net or any(abs(net - stated_net) <= 1 for net in nets)) and (
                stated_total is None or abs(total - stated_total) <= 1 + rounding
            )

        flagged = any(
            part.flag(flag)
            for line in lines
            for part in (line.content, *line.content.all("Tax"))
            for flag in ("TaxIncludedInPriceFlag", "TaxIncludedInPrice")
        )
        ways = [(True, flagged), (True, not flagged), (False, flagged), (False, not flagged)]
        # vendors disagree on what net is, so the grand total decides where not both can be met
        by_total = [way for way in ways if stated_total is not None and fits(*way, by_net=False)]
        apply, included = [*(way for way in ways if fits(*way)), *by_total, ways[0]][0]
        if apply:
            self._apply(rewards)
        self._tax_lines(tax, included)
        net, taxed = sum(line.net for line in lines), sum(line.tax or 0 for line in lines)
        total = net + taxed
        if stated_total is not None and abs(stated_total - total) > rounding:
            total = stated_total
        if stated_total is None and stated_net is not None and not fits(apply, included):
            net = stated_net  # the router will see that the lines do not add up to it
        return {
            "net_amount": money(net),
            "tax_amount": money(taxed),
            "charges_amount": "0.00",
            "discount_amount": money(sum(line.discount for line in lines)),
            "total_amount": money(total),
        }

    def _total(self, kind: str, sign: int) -> int | None:
        for part in self.retail.all("Total"):
            if part.attributes.get("TotalType") == kind and (part.text or part.value("Amount")):
                cents = cents_of(exact_of(part.text or part.value("Amount"), kind))
                return -abs(cents) if sign < 0 else cents
        return None

    def _tax(self, sign: int) -> int:
        """The receipt's tax: as totalled, else of its tax lines, else of its lines."""
        total = self._total("TransactionTaxAmount", sign)
        if total is not None:
            return total
        amounts = [amount_of(part, "Amount") for part in self.parts.get("Tax", ())]
        if stated := [amount for amount in amounts if amount is not None]:
            cents = cents_of(sum(stated, Decimal(0)))
            return -abs(cents) if sign < 0 else cents
        return sum(line.tax or 0 for line in self.counted)

    def _rewards(self) -> list[_Reward]:
        """Discounts on lines of their own; one given in detail and in sum counts in detail."""
        by_sequence = {line.content.value("OperatorSequence"): line for line in self.counted}
        found = []
        for part in once(self.parts.get("LoyaltyReward", [])):
            if part.value("RewardCategory") == "Monetary":
                amounts = [-(amount_of(part, "ExtendedRewardAmount", places=2) or Decimal(0))]
            else:
                amounts = [amount_of(discount, "Amount", places=2) or Decimal(0) for discount in part.all("Discount")]
            if amount := sum(amounts, Decimal(0)):
                found.append(_Reward(cents_of(amount), by_sequence.get(part.value("OperatorSequenceReference"))))
        for part in self.parts.get("Discount", ()):
            if discount := amount_of(part, "Amount", places=2):
                found.append(_Reward(cents_of(abs(discount)), None))
        return found

    def _apply(self, rewards: list[_Reward]) -> None:
        lines = self.counted
        for reward in rewards:
            shares = [(reward.of, reward.amount)] if reward.of else []
            shares = shares or list(zip(lines, spread(reward.amount, [line.net for line in lines]), strict=True))
            for line, share in shares:
                line.net -= share
                line.discount += share

    def _tax_lines(self, tax: int, included: bool) -> None:
        """Each line's tax: its own where the lines' taxes are the receipt's, else the receipt's spread over them."""
        lines = self.counted
        own = sum(line.tax or 0 for line in lines)
        if abs(own - tax) > len(lines) or all(line.tax is None for line in lines):
            for line, share in zip(lines, spread(tax, [line.net for line in lines]), strict=True):
                line.tax = share
        if included:
            for line in lines:
                line.net -= line.tax or 0


def _link_number(link: Node | None) -> int | None:
    """The line number an ItemLink names, as its text or in an element of its own."""
    if link is None:
        return None
    said = link.text or link.deep_value("LineItemSequenceNumber", "SequenceNumber", "ItemLink")
    return int(said) if re.fullmatch(r"\d{1,18}", said) else None


def once(rewards: list[Node]) -> list[Node]:
    """Rewards without the sums of what is also given in detail (the same promotion and event)."""
    detailed = {_event(part) for part in rewards if part.flag("detailedData")}
    return [
        part
        for part in rewards
        if part.flag("detailedData") or not part.flag("summarizedActivity") or _event(part) not in detailed
    ]


def _event(reward: Node) -> tuple[str, str, str]:
    return reward.value("PromotionID"), reward.value("EventID"), reward.value("RewardCategory")

"""What single elements of a POSLog document say: numbers, times and places."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

from kanta.landing.poslog.elements import Node

_NUMBER = re.compile(r"[+-]?(\d{1,13}(\.\d{0,8})?|\.\d{1,8})")
_CENT = Decimal("0.01")

Row = dict[str, str]


class TransactionError(ValueError):
    """A Transaction element that cannot be read; the message says what is wrong with it."""


def decimal_of(text: str, what: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise TransactionError(f"{what} is not a number")
    return Decimal(text)


def amount_of(node: Node, *names: str, places: int | None = None) -> Decimal | None:
    """The number in the first of these children that has one; ``places``: as in :func:`exact_of`."""
    for name in names:
        if said := node.value(name):
            return decimal_of(said, name) if places is None else exact_of(said, name, places)
    return None


def exact_of(text: str, what: str, places: int = 2) -> Decimal:
    """A number that is kept to its last digit: one finer than ``places`` behind the point is refused, not rounded."""
    number = decimal_of(text, what)
    if number != round(number, places):
        raise TransactionError(f"{what} {text} has more than {places} digits behind the point")
    return number


def cents_of(amount: Decimal) -> int:
    return int(amount.quantize(_CENT, ROUND_HALF_UP).scaleb(2))


def money(cents: int) -> str:
    return f"{Decimal(cents).scaleb(-2):f}"


def rounded(number: Decimal, places: int) -> str:
    return f"{number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):f}"


def whole_of(text: str, default: int, what: str) -> int:
    if text and not re.fullmatch(r"\d{1,18}", text):
        raise TransactionError(f"{what} is not a whole number")
    return int(text) if text else default


def spread(total: int, weights: Sequence[int]) -> list[int]:
    """``total`` in whole cents over the weights' sizes by largest remainder; ties go to the first."""
    sizes = [abs(weight) for weight in weights]
    if not any(sizes):
        sizes = [1] * len(weights)
    whole = sum(sizes)
    shares = [abs(total) * size // whole for size in sizes]
    by_remainder = sorted(range(len(sizes)), key=lambda i: (-(abs(total) * sizes[i] % whole), i))
    for i in by_remainder[: abs(total) - sum(shares)]:
        shares[i] += 1
    return shares if total >= 0 else [-share for share in shares]


def place_of(node: Node) -> tuple[str, str, str, str]:
    """Store, register, business date and sequence number of a transaction or of a link to one; empty if not said."""
    unit = node.first("BusinessUnit")
    store = (unit.value("UnitID") or unit.text) if unit else ""
    day = node.first("BusinessDayDate")
    text = (day.text or day.value("Date")) if day else ""
    return (
        store or node.value("RetailStoreID"),
        node.value("WorkstationID", "TillID"),
        text[:10] if re.match(r"\d{4}-\d{2}-\d{2}", text) else "",
        node.value("SequenceNumber"),
    )


def card_of(account: Node) -> str:
    return account.deep_value("PrimaryAccountNumber", "LoyaltyAccountID", "LoyaltyID", "MembershipID", "AccountNumber")

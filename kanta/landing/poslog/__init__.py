"""ARTS POSLog 2.x to 6.0: ``poslog.xml`` as rows of transactions, lines, tenders and declared points.

Sources: spec 1-interfaces section 3 "POSLog"; the vocabulary is that of the published schema. ``elements`` streams the
document, ``readings`` says what single elements mean, ``sales`` and ``tenders`` what was sold and paid.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from kanta.landing.drops import DataFile, DropError, datasets
from kanta.landing.limits import LISTED, unlisted
from kanta.landing.poslog.elements import Node, transactions
from kanta.landing.poslog.readings import Row, TransactionError, card_of, place_of
from kanta.landing.poslog.sales import Sales
from kanta.landing.poslog.tenders import declared_points, tenders_of
from kanta.landing.spool import RawFile, Spools, write_row

_STATUSES = {
    **dict.fromkeys(("Finished", "Delivered", "Tendered", "Returned"), "completed"),
    **dict.fromkeys(("Suspended", "SuspendedRetrieved", "InProcess", "InProgress"), "suspended"),
    **dict.fromkeys(("Voided", "TransactionVoided", "PostVoided", "Canceled", "Cancelled", "Failed"), "voided"),
}


@dataclass(frozen=True)
class Receipt:
    """One Transaction element as rows: dataset, line of the document, columns."""

    line: int
    rows: list[tuple[str, int, Row]]


@dataclass(frozen=True)
class Broken:
    """A Transaction element that is refused."""

    line: int
    transaction_id: str
    reason: str


def read(raw: RawFile, take: Callable[[Receipt | Broken], None]) -> int:
    """Hands over each transaction of a document in order; returns the number of Transaction elements.

    Raises ``DropError`` as :func:`elements.transactions` does.
    """
    count = 0

    def took(node: Node, too_large: bool) -> None:
        nonlocal count
        count += 1
        take(Broken(node.line, "", "the transaction is larger than any receipt") if too_large else convert(node))

    transactions(raw, took)
    return count


@dataclass(frozen=True)
class Document:
    """What a document held: rows put into spools, and the transactions that could not be made rows."""

    rows: int
    broken: list[Broken]


def spool(folder: int, file: DataFile, file_no: int, spools: Spools) -> Document:
    """Spools a ``poslog.xml``, whose control file counts its Transaction elements. Raises ``DropError``."""
    rows = begun = 0
    broken: list[Broken] = []
    known = datasets("pos")

    def take(found: Receipt | Broken) -> None:
        nonlocal rows, begun
        begun += 1
        if begun > file.rows:
            reason = f"the document holds more than {file.rows} transactions, the control file says {file.rows}"
            raise DropError("rows", reason, file.name)
        if isinstance(found, Broken):
            broken.append(found)
            if len(broken) > LISTED:
                raise unlisted(f"more than {LISTED:,} transactions are refused")
            return
        for dataset, line, row in found.rows:
            contract = known[dataset]
            write_row(spools.ordered(contract), file_no, line, "", [row.get(name, "") for name in contract.names])
        rows += len(found.rows)
        spools.allowance.count("rows", len(found.rows), file.name)

    with RawFile(folder, file, spools.allowance) as raw:
        count = read(raw, take)
        raw.check_digest()
    if count != file.rows:
        reason = f"the document holds {count} transactions, the control file says {file.rows}"
        raise DropError("rows", reason, file.name)
    return Document(rows, broken)


def convert(node: Node) -> Receipt | Broken:
    """The rows of one Transaction element."""
    transaction_id = ""
    try:
        header = _header(node)
        transaction_id = header["transaction_id"]
        return _receipt(node, header)
    except TransactionError as error:
        return Broken(node.line, transaction_id, str(error))
    except ArithmeticError:
        return Broken(node.line, transaction_id, "an amount is larger than any receipt's")


#: The end of a time in UTC.
_UTC = re.compile(r"\d(Z|[+-]00:?00)$")


def _header(node: Node) -> Row:
    """What every transaction has, sale or not; the id is store-register-business date-sequence.

    Without BusinessDayDate the id has the date as it is written in BeginDateTime.
    """
    store, register, day, number = place_of(node)
    begin = node.value("BeginDateTime") or node.value("EndDateTime", "POSLogDateTime", "ReceiptDateTime")
    retail = node.first("RetailTransaction", "FoodServiceTransaction")
    if not begin and retail:
        begin = retail.value("ReceiptDateTime")
    said, day = day, day or begin[:10]
    for what, value in (("store", store), ("register", register), ("day", day), ("number", number)):
        if not value:
            raise TransactionError(f"the transaction has no {what}")
    operator = node.first("OperatorID")
    return {
        "transaction_id": f"{store}-{register}-{day}-{number}",
        "store_id": store,
        "register_id": register,
        "transaction_no": number,
        # A time in UTC does not tell the store's date: without a date it is that of the channel's clock (sales).
        "business_date": day if said or not _UTC.search(begin) else "",
        "started_at": begin,
        "ended_at": node.value("EndDateTime") or begin,
        "offline": "true" if node.flag("OfflineFlag") else "false",
        "operator_id": (operator.text or operator.attributes.get("OperatorID", "")) if operator else "",
    }


#: What a link to the receipt that is voided gives as its reason.
_VOIDS = ("Voided", "PostVoided")


def _voided(node: Node, header: Row) -> str:
    """The id of the receipt that the transaction voids after its completion; empty when it voids none.

    By the four parts of that receipt's id, as returns name theirs; the store may be left out, the rest may not: what
    is to be voided is not guessed.
    """
    parts = (node, *(node.all(name)[0] for name in node.by_name if name.endswith("Transaction")))
    for link in (link for part in parts for link in part.all("TransactionLink")):
        if link.code("ReasonCode") in _VOIDS:
            store, register, day, number = place_of(link)
            if not (register and day and number):
                raise TransactionError("it voids a receipt that its TransactionLink does not name")
            return f"{store or header['store_id']}-{register}-{day}-{number}"
    return ""


def _status(node: Node, retail: Node) -> str:
    if node.flag("TrainingModeFlag") or retail.flag("TrainingModeFlag"):
        return "training"
    if any(part.flag(flag) for part in (node, retail) for flag in ("CancelFlag", "VoidFlag")):
        return "voided"
    said = retail.code("TransactionStatus") or node.code("TransactionStatus") or "Finished"
    if said not in _STATUSES:
        raise TransactionError("its TransactionStatus is not known")
    return _STATUSES[said]


def _says_it_voids(node: Node, retail: Node) -> bool:
    """Whether the status is that of a document which voids another, and not of one that was voided itself."""
    return (retail.code("TransactionStatus") or node.code("TransactionStatus")) == "PostVoided"


def _receipt(node: Node, header: Row) -> Receipt:
    retail = node.first("RetailTransaction", "FoodServiceTransaction")
    nothing = dict.fromkeys(("net_amount", "tax_amount", "charges_amount", "discount_amount", "total_amount"), "0.00")
    currency = _currency(node)
    if retail is None or retail.code("TypeCode") in ("Summary", "NonResettableAmounts"):
        training = node.flag("TrainingModeFlag")
        kind = {"type": "control", "status": "training" if training else "completed", "currency": currency or "XXX"}
        kind["voids_transaction_id"] = _voided(node, header)
        return Receipt(node.line, [("transactions", node.line, header | nothing | kind)])
    status = _status(node, retail)
    voided = _voided(node, header) if status == "completed" or _says_it_voids(node, retail) else ""
    sales = Sales(retail)
    people = {
        "customer_id": _customer(retail),
        "loyalty_card_id": _card(retail),
        "type": sales.type
        or {"ReturnTransaction": "return", "ExchangeTransaction": "exchange"}.get(node.code("TypeCode"), "sale"),
        "status": "completed" if voided else status,
        "currency": currency if status == "completed" else currency or "XXX",
        "voids_transaction_id": voided,
    }
    if status != "completed" or voided:  # what was not sold must appear nowhere
        return Receipt(node.line, [("transactions", node.line, header | nothing | people)])
    own = {"transaction_id": header["transaction_id"]}
    settled = sales.settled()
    rows = [("transactions", node.line, header | people | settled)]
    rows += [("lines", line.node.line, own | line.row(header)) for line in sales.lines]
    rows += [("tenders", at, own | row) for at, row in tenders_of(retail, currency, negative=sales.counted_sum() < 0)]
    rows += [
        ("declared_points", node.line, own | {"point_no": str(n)} | row)
        for n, row in enumerate(declared_points(retail, people["loyalty_card_id"]), 1)
    ]
    return Receipt(node.line, rows)


def _currency(node: Node) -> str:
    """The transaction's currency as it says itself; the schema's default for amounts is not what anyone meant."""
    if said := node.value("CurrencyCode"):
        return said
    for part in node.deep("Total", "ExtendedAmount", "Amount"):
        said = part.attributes.get("CurrencyCode") or part.attributes.get("Currency") or ""
        if said and said != "XXX":
            return said
    return ""


def _customer(retail: Node) -> str:
    for part in (*retail.all("Customer"), *retail.all("LoyaltyAccount")):
        if said := part.value("CustomerID"):
            return said
    return ""


def _card(retail: Node) -> str:
    """The card shown: of the receipt's account, else of a line's, or of a vendor's membership line."""
    for part in retail.all("LoyaltyAccount"):
        if card := card_of(part):
            return card
    for item in retail.all("LineItem"):
        if not item.flag("VoidFlag"):
            for part in item.deep("LoyaltyAccount", "LoyaltyMembership"):
                if card := card_of(part):
                    return card
    return ""

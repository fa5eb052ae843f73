"""ARTS POSLog 2.x to 6.0: ``poslog.xml`` as rows of transactions, lines, tenders and declared points.

Sources: spec 1-interfaces section 3 "POSLog"; the vocabulary is that of the published schema. Elements are known by
their local name, whatever namespace they are in (a vendor's element of the same name yields to the standard's own).
One ``Transaction`` element is in memory at a time, so a document of any length passes in constant memory. Documents
with a DTD or entities are refused unread.

What vendors write differs from the schema, so figures are settled against the document's own totals: whether prices
include tax, and whether discounts stated as lines of their own are already in the amounts. Where nothing fits, the
document's totals stand, and the router refuses the transaction because its lines do not add up to them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from kanta.landing.drops import DataFile, DropError, datasets
from kanta.landing.spool import RawFile, Spools, blocks, write_row

MAX_ELEMENTS = 200_000  # in one transaction
MAX_TEXT = 16 << 20  # characters in one transaction
MAX_DEPTH = 50  # below Transaction; what is deeper is no part of a receipt
_SKIPPED = {"ReceiptImage", "ReceiptData", "ElectronicSignature"}  # bulk that says nothing the lines do not

_SALES = ("Sale", "SaleForDelivery", "SaleForPickup", "FuelSale")
_RETURNS = ("Return", "ReturnForDelivery", "ReturnForPickup")
_KINDS = {
    **dict.fromkeys(_SALES, "sale"),
    **dict.fromkeys(_RETURNS, "return"),
    **dict.fromkeys(("SaleOfGiftCard", "GiftCertificate", "StoredValueFundSale"), "gift_card"),
    "Deposit": "deposit",
    **dict.fromkeys(("PaymentOnAccount", "Donation", "Fee", "Tip"), "other"),
}
_ITEM_TYPES = {
    "Deposit": "deposit",
    "GiftCard": "gift_card",
    "GiftCertificate": "gift_card",
    "StoredValue": "gift_card",
}
_TENDERS = {
    "Cash": "cash", "CreditDebit": "card", "Credit": "card", "Debit": "card", "CreditCard": "card", "DebitCard": "card",
    "Check": "check", "Cheque": "check", "TravelersCheck": "check", "GiftCard": "gift_card",
    "GiftCertificate": "gift_card", "StoredValue": "gift_card", "StoredValueFund": "gift_card", "Loyalty": "loyalty",
    "LoyaltyPoints": "loyalty", "Points": "loyalty", "CustomerAccount": "on_account", "OnAccount": "on_account",
    "AccountsReceivable": "on_account", "HouseAccount": "on_account",
}  # fmt: skip
_STATUSES = {
    **dict.fromkeys(("Finished", "Delivered", "Tendered", "Returned"), "completed"),
    **dict.fromkeys(("Suspended", "SuspendedRetrieved", "InProcess", "InProgress"), "suspended"),
    **dict.fromkeys(("Voided", "TransactionVoided", "PostVoided", "Canceled", "Cancelled", "Failed"), "voided"),
}
_POINTS = {
    "": ("awarded", 1), "Credited": ("awarded", 1), "PointsEarned": ("awarded", 1), "Assigned": ("awarded", 1),
    "PointsAdjustment": ("awarded", 1), "Reversal": ("awarded", -1), "Debited": ("redeemed", 1),
    "Redeemed": ("redeemed", 1),
}  # fmt: skip

_NUMBER = re.compile(r"[+-]?(\d{1,13}(\.\d{0,8})?|\.\d{1,8})")
_LOCAL_TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?")
_CENT = Decimal("0.01")

Row = dict[str, str]


class TransactionError(ValueError):
    """A Transaction element that cannot be read; the message says what is wrong with it."""


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


class Node:
    """An element: local name, whether in the Transaction's own namespace, attributes by local name, text, line."""

    __slots__ = ("attributes", "by_name", "children", "line", "name", "own", "pieces", "text")

    def __init__(self, name: str, own: bool, attributes: dict[str, str], line: int) -> None:
        self.name, self.own, self.attributes, self.line = name, own, attributes, line
        self.children: list[Node] = []
        self.by_name: dict[str, list[Node]] = {}
        self.pieces: list[str] = []
        self.text = ""

    def add(self, child: Node) -> None:
        """Takes a child; by name, the standard's own stand before and instead of those of other namespaces."""
        self.children.append(child)
        same = self.by_name.get(child.name)
        if same is None or (child.own and not same[0].own):
            self.by_name[child.name] = [child]
        elif child.own or not same[0].own:
            same.append(child)

    def all(self, name: str) -> list[Node]:
        """Children of the name."""
        return self.by_name.get(name, [])

    def first(self, *names: str) -> Node | None:
        """The first child of the first of these names that is there."""
        for name in names:
            if name in self.by_name:
                return self.by_name[name][0]
        return None

    def value(self, *names: str) -> str:
        """The text of the first child of these names that has one."""
        for name in names:
            for child in self.by_name.get(name, ()):
                if child.text:
                    return child.text
        return ""

    def deep(self, *names: str) -> Iterator[Node]:
        """Elements of these names at any depth, in document order."""
        for child in self.children:
            if child.name in names:
                yield child
            if child.children:
                yield from child.deep(*names)

    def deep_value(self, *names: str) -> str:
        """The first text under elements of these names, the first name first."""
        return next((node.text for name in names for node in self.deep(name) if node.text), "")

    def flag(self, name: str) -> bool:
        """Whether an attribute, or a child element, of the name is true."""
        said = self.attributes.get(name) or self.value(name)
        return said != "" and said.lower() in ("true", "1")

    def code(self, name: str) -> str:
        """An attribute's value without a vendor's prefix: ``Auto`` of ``acs:Auto``."""
        return self.attributes.get(name, "").rpartition(":")[2]

    @property
    def struck(self) -> bool:
        """Whether a line is taken off the receipt again."""
        return self.flag("VoidFlag") or self.flag("CancelFlag")


class _Elements:
    """Parser target that hands over each Transaction element as a tree and keeps nothing else."""

    def __init__(self, take: Callable[[Node, bool], None]) -> None:
        self.take = take
        self.expat: Any = None
        self.depth = 0
        self.skipping = 0
        self.stack: list[Node] = []
        self.namespace = ""
        self.elements = self.length = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        namespace, _, name = tag.rpartition("}")
        if not self.depth and name != "POSLog":
            raise DropError("poslog", "the root element is not POSLog")
        self.depth += 1
        if self.skipping or (self.stack and (name in _SKIPPED or len(self.stack) > MAX_DEPTH)):
            self.skipping += 1
        elif self.stack or name == "Transaction":
            if not self.stack:
                self.namespace, self.elements, self.length = namespace, 0, 0
            self.elements += 1
            local = {key.rpartition("}")[2]: value for key, value in attributes.items()} if attributes else {}
            node = Node(name, namespace == self.namespace, local, self.expat.CurrentLineNumber)
            if self.stack and not self._full():
                self.stack[-1].add(node)
            self.stack.append(node)

    def end(self, tag: str) -> None:
        self.depth -= 1
        if self.skipping:
            self.skipping -= 1
        elif self.stack:
            node = self.stack.pop()
            node.text = "".join(node.pieces).strip()
            if not self.stack:
                self.take(node, self._full())

    def data(self, text: str) -> None:
        if self.stack and not self.skipping:
            self.length += len(text)
            if not self._full():
                self.stack[-1].pieces.append(text)

    def close(self) -> None:
        """Nothing is left to hand over."""

    def _full(self) -> bool:
        return self.elements > MAX_ELEMENTS or self.length > MAX_TEXT


def read(raw: RawFile, take: Callable[[Receipt | Broken], None]) -> int:
    """Hands over each transaction of a document in order; returns the number of Transaction elements.

    Raises ``DropError`` when the document is not well-formed, not POSLog, or declares a DTD or entities.
    """
    count = 0

    def took(node: Node, too_large: bool) -> None:
        nonlocal count
        count += 1
        take(Broken(node.line, "", "the transaction is larger than any receipt") if too_large else convert(node))

    elements = _Elements(took)
    parser = DefusedXMLParser(target=elements, forbid_dtd=True)
    elements.expat = parser.parser
    name = raw.file.name
    try:
        for block in blocks(raw):
            parser.feed(block)
        parser.close()
    except DefusedXmlException as error:
        raise DropError("xml_dtd", "the document has a DTD or entities", name) from error
    except ParseError as error:
        raise DropError("xml", f"not well-formed XML: {error.msg}", name, error.position[0]) from error
    except (ValueError, LookupError) as error:
        raise DropError("encoding", "the document's encoding is not known", name) from error
    except DropError as error:
        raise DropError(error.rule, error.reason, name) from error
    return count


@dataclass(frozen=True)
class Document:
    """What a document held: rows put into spools, and the transactions that could not be made rows."""

    rows: int
    broken: list[Broken]


def spool(folder: int, file: DataFile, file_no: int, spools: Spools) -> Document:
    """Spools a ``poslog.xml``, whose control file counts its Transaction elements. Raises ``DropError``."""
    rows, broken = 0, []
    known = datasets("pos")

    def take(found: Receipt | Broken) -> None:
        nonlocal rows
        if isinstance(found, Broken):
            broken.append(found)
            return
        for dataset, line, row in found.rows:
            contract = known[dataset]
            write_row(spools.ordered(contract), file_no, line, "", [row.get(name, "") for name in contract.names])
        rows += len(found.rows)

    with RawFile(folder, file) as raw:
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


def _header(node: Node) -> Row:
    """What every transaction has, sale or not; the id is store-register-business date-sequence."""
    store, register, day, number = _place(node)
    begin = node.value("BeginDateTime") or node.value("EndDateTime", "POSLogDateTime", "ReceiptDateTime")
    retail = node.first("RetailTransaction", "FoodServiceTransaction")
    if not begin and retail:
        begin = retail.value("ReceiptDateTime")
    day = day or begin[:10]
    for what, value in (("store", store), ("register", register), ("day", day), ("number", number)):
        if not value:
            raise TransactionError(f"the transaction has no {what}")
    operator = node.first("OperatorID")
    return {
        "transaction_id": f"{store}-{register}-{day}-{number}",
        "store_id": store,
        "register_id": register,
        "transaction_no": number,
        "business_date": day,
        "started_at": _moment(begin),
        "ended_at": _moment(node.value("EndDateTime") or begin),
        "offline": "true" if node.flag("OfflineFlag") else "false",
        "operator_id": (operator.text or operator.attributes.get("OperatorID", "")) if operator else "",
    }


def _place(node: Node) -> tuple[str, str, str, str]:
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


def _moment(text: str) -> str:
    """A time as the contract has it; one without offset is taken as UTC, for the document does not say more."""
    return text + "Z" if _LOCAL_TIME.fullmatch(text) else text


def _status(node: Node, retail: Node) -> str:
    if node.flag("TrainingModeFlag") or retail.flag("TrainingModeFlag"):
        return "training"
    if any(part.flag(flag) for part in (node, retail) for flag in ("CancelFlag", "VoidFlag")):
        return "voided"
    said = retail.code("TransactionStatus") or node.code("TransactionStatus") or "Finished"
    if said not in _STATUSES:
        raise TransactionError("its TransactionStatus is not known")
    return _STATUSES[said]


def _receipt(node: Node, header: Row) -> Receipt:
    retail = node.first("RetailTransaction", "FoodServiceTransaction")
    nothing = dict.fromkeys(("net_amount", "tax_amount", "charges_amount", "discount_amount", "total_amount"), "0.00")
    currency = _currency(node)
    if retail is None or retail.code("TypeCode") in ("Summary", "NonResettableAmounts"):
        training = node.flag("TrainingModeFlag")
        kind = {"type": "control", "status": "training" if training else "completed", "currency": currency or "XXX"}
        return Receipt(node.line, [("transactions", node.line, header | nothing | kind)])
    status = _status(node, retail)
    sales = _Sales(retail)
    people = {
        "customer_id": _customer(retail),
        "loyalty_card_id": _card(retail),
        "type": sales.type
        or {"ReturnTransaction": "return", "ExchangeTransaction": "exchange"}.get(node.code("TypeCode"), "sale"),
        "status": status,
        "currency": currency if status == "completed" else currency or "XXX",
    }
    if status != "completed":  # what was not sold must appear nowhere
        return Receipt(node.line, [("transactions", node.line, header | nothing | people)])
    own = {"transaction_id": header["transaction_id"]}
    settled = sales.settled()
    rows = [("transactions", node.line, header | people | settled)]
    rows += [("lines", line.node.line, own | line.row(header)) for line in sales.lines]
    rows += [("tenders", at, own | row) for at, row in _tenders(retail, currency, negative=sales.counted_sum() < 0)]
    rows += [
        ("declared_points", node.line, own | {"point_no": str(n)} | row)
        for n, row in enumerate(_declared_points(retail, people["loyalty_card_id"]), 1)
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
        if card := _account_card(part):
            return card
    for item in retail.all("LineItem"):
        if not item.flag("VoidFlag"):
            for part in item.deep("LoyaltyAccount", "LoyaltyMembership"):
                if card := _account_card(part):
                    return card
    return ""


def _account_card(account: Node) -> str:
    return account.deep_value("PrimaryAccountNumber", "LoyaltyAccountID", "LoyaltyID", "MembershipID", "AccountNumber")


def _decimal(text: str, what: str) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise TransactionError(f"{what} is not a number")
    return Decimal(text)


def _amount(node: Node, *names: str) -> Decimal | None:
    """The number in the first of these children that has one."""
    for name in names:
        if said := node.value(name):
            return _decimal(said, name)
    return None


def _cents(amount: Decimal) -> int:
    return int(amount.quantize(_CENT, ROUND_HALF_UP).scaleb(2))


def _money(cents: int) -> str:
    return f"{Decimal(cents).scaleb(-2):f}"


def _rounded(number: Decimal, places: int) -> str:
    return f"{number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP):f}"


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


class _Line:
    """One line of goods; amounts in cents, signed as Sale or Return says."""

    def __init__(self, item: Node, content: Node, position: int) -> None:
        self.node, self.content = item, content
        self.number = _integer(item.value("SequenceNumber"), position, "SequenceNumber")
        self.voided = item.struck
        quantity = _amount(content, "Quantity")
        said = _amount(content, "ExtendedAmount", "Amount")
        price = _amount(content, "ActualSalesUnitPrice", "RegularSalesUnitPrice", "UnitListPrice", "SuggestedPrice")
        self.quantity = Decimal(1) if quantity is None else quantity
        discount = _amount(content, "ExtendedDiscountAmount", "DiscountAmount") or Decimal(0)
        if said is None:
            if price is None:
                raise TransactionError("a line has no amount")
            said = price * self.quantity - abs(discount)
        self.written, self.turned = said, said < 0 or self.quantity < 0
        back = content.name in _RETURNS or (content.name in _SALES and self.quantity < 0)
        if back:
            self.quantity, said = -abs(self.quantity), -abs(said)
        self.amount = _cents(said)
        self.kind = "return" if back else _ITEM_TYPES.get(content.code("ItemType"), _KINDS[content.name])
        self.discount = _cents(-abs(discount) if back else abs(discount))
        self.unit_price = price if price is not None else abs(said / (self.quantity or 1))
        taxes = [_amount(tax, "Amount") for tax in content.all("Tax")]
        stated = [tax for tax in taxes if tax is not None]
        self.tax = _cents(sum(stated, Decimal(0))) if stated else None
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
            "quantity": _rounded(self.quantity, 3),
            "unit_price": _rounded(self.unit_price, 4),
            "discount_amount": _money(self.discount),
            "net_amount": _money(self.net),
            "tax_amount": _money(self.tax or 0),
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
                store, register, day, number = _place(link)
                if register and day and number:
                    line = link.value("LineItemSequenceNumber")
                    original = f"{store or header['store_id']}-{register}-{day}-{number}"
                    return {"original_transaction_id": original, "original_line_no": line}
        return {}


def _integer(text: str, default: int, what: str) -> int:
    if text and not re.fullmatch(r"\d{1,18}", text):
        raise TransactionError(f"{what} is not a whole number")
    return int(text) if text else default


@dataclass(frozen=True)
class _Reward:
    """A discount that stands on a line of its own, in cents; ``of`` is the line it belongs to, where that is said."""

    amount: int
    of: _Line | None


class _Sales:
    """What a RetailTransaction sold, and its figures settled against its totals."""

    def __init__(self, retail: Node) -> None:
        self.retail = retail
        self.items = retail.all("LineItem")
        #: What stands on lines of its own or in tenders, by name.
        self.parts: dict[str, list[Node]] = {}
        for part in (part for one in self.items if not one.struck for part in one.children):
            for inner in (part, *(part.children if part.name in ("Tender", "TenderChange") else ())):
                self.parts.setdefault(inner.name, []).append(inner)
        self.lines: list[_Line] = []
        for position, item in enumerate(self.items, 1):
            content = next((part for part in item.children if part.name in _KINDS), None)
            if content is not None:
                self.lines.append(_Line(item, content, position))
        for line in list(self.lines):
            if line.voided:
                self._void_original(line)
        for item in self.items:
            if (voids := item.first("Voids")) and not item.flag("VoidFlag"):
                self._void_linked(voids)
        self._link_from_header()

    def _void_original(self, copy: _Line) -> None:
        """Some registers void a line by a flagged copy with the amount turned round: then the line is void too."""
        target = _link_number(copy.node.first("ItemLink"))
        for line in reversed(self.lines[: self.lines.index(copy)]):
            same = line.content.name == copy.content.name and line.product == copy.product
            turned = copy.turned and not line.turned and abs(line.written) == abs(copy.written)
            if not line.voided and (line.number == target or (target is None and same and turned)):
                line.voided = True
                return

    def _void_linked(self, voids: Node) -> None:
        target, quantity = _link_number(voids.first("ItemLink") or voids), _amount(voids, "Quantity")
        for line in self.lines:
            if line.number == target and not line.voided:
                if quantity is None or abs(quantity) >= abs(line.quantity):
                    line.voided = True
                else:  # some pieces of several
                    kept = 1 - abs(quantity / line.quantity)
                    line.quantity *= kept
                    line.amount = line.net = _cents(Decimal(line.amount).scaleb(-2) * kept)

    def _link_from_header(self) -> None:
        """A receipt may say once for all its returns where they were bought."""
        links = [part for part in self.retail.all("TransactionLink") if part.code("ReasonCode") == "Return"]
        for line in self.lines:
            if links and line.kind == "return" and not line.content.all("TransactionLink"):
                line.content.add(links[0])

    @property
    def counted(self) -> list[_Line]:
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
            _cents(abs(_decimal(part.text, "Rounding"))) for part in self.parts.get("Rounding", ()) if part.text
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
            "net_amount": _money(net),
            "tax_amount": _money(taxed),
            "charges_amount": "0.00",
            "discount_amount": _money(sum(line.discount for line in lines)),
            "total_amount": _money(total),
        }

    def _total(self, kind: str, sign: int) -> int | None:
        for part in self.retail.all("Total"):
            if part.attributes.get("TotalType") == kind and (part.text or part.value("Amount")):
                cents = _cents(_decimal(part.text or part.value("Amount"), kind))
                return -abs(cents) if sign < 0 else cents
        return None

    def _tax(self, sign: int) -> int:
        """The receipt's tax: as totalled, else of its tax lines, else of its lines."""
        total = self._total("TransactionTaxAmount", sign)
        if total is not None:
            return total
        amounts = [_amount(part, "Amount") for part in self.parts.get("Tax", ())]
        if stated := [amount for amount in amounts if amount is not None]:
            cents = _cents(sum(stated, Decimal(0)))
            return -abs(cents) if sign < 0 else cents
        return sum(line.tax or 0 for line in self.counted)

    def _rewards(self) -> list[_Reward]:
        """Discounts on lines of their own; one given in detail and in sum counts in detail."""
        by_sequence = {line.content.value("OperatorSequence"): line for line in self.counted}
        found = []
        for part in _once(self.parts.get("LoyaltyReward", [])):
            if part.value("RewardCategory") == "Monetary":
                amounts = [-(_amount(part, "ExtendedRewardAmount") or Decimal(0))]
            else:
                amounts = [_amount(discount, "Amount") or Decimal(0) for discount in part.all("Discount")]
            if amount := sum(amounts, Decimal(0)):
                found.append(_Reward(_cents(amount), by_sequence.get(part.value("OperatorSequenceReference"))))
        for part in self.parts.get("Discount", ()):
            if discount := _amount(part, "Amount"):
                found.append(_Reward(_cents(abs(discount)), None))
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


def _once(rewards: list[Node]) -> list[Node]:
    """Rewards without the sums of what is also given in detail (the same promotion and event)."""
    detailed = {_event(part) for part in rewards if part.flag("detailedData")}
    return [
        part
        for part in rewards
        if part.flag("detailedData") or not part.flag("summarizedActivity") or _event(part) not in detailed
    ]


def _event(reward: Node) -> tuple[str, str, str]:
    return reward.value("PromotionID"), reward.value("EventID"), reward.value("RewardCategory")


def _tenders(retail: Node, currency: str, *, negative: bool) -> Iterator[tuple[int, Row]]:
    """Tender rows with their document lines: change is a negative tender, cash rounding none."""
    number = 0
    voided: set[int] = set()
    items = retail.all("LineItem")
    for i, item in enumerate(items):  # a flagged copy turned round voids what it copies
        tender = item.first("Tender")
        if tender and item.flag("VoidFlag"):
            voided.add(i)
            copied = (_amount(tender, "Amount") or Decimal(0), tender.code("TenderType"))
            for j in range(i - 1, -1, -1):
                before = items[j].first("Tender")
                same = before and before.code("TenderType") == copied[1] and _amount(before, "Amount") == -copied[0]
                if j not in voided and same and copied[0] < 0:
                    voided.add(j)
                    break
    for i, item in enumerate(items):
        if i in voided or item.struck:
            continue
        for tender in (*item.all("Tender"), *item.all("TenderChange")):
            for part, change in _payments(tender):
                amount = _amount(part, "Amount")
                if amount is None:
                    continue
                if change or tender.code("TypeCode") == "Refund" or (negative and not tender.code("TypeCode")):
                    amount = -abs(amount)
                number += 1
                paid = part.first("Amount")
                own = paid.attributes.get("Currency", "") if paid else ""
                kind = _TENDERS.get(part.code("TenderType") or tender.code("TenderType"), "cash" if change else "other")
                points = _amount(part, "PointsRedeemed", "Points") if kind == "loyalty" else None
                yield (
                    item.line,
                    {
                        "tender_no": str(number),
                        "type": kind,
                        "amount": _money(_cents(amount)),
                        "currency": own if own and own != "XXX" else currency,
                        "loyalty_card_id": _account_card(part) if kind == "loyalty" else "",
                        "points": "" if points is None else _rounded(points, 2),
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


def _declared_points(retail: Node, card: str) -> list[Row]:
    """Points the document states, each once: in the finest detail that adds up to what the receipt as a whole says."""
    items = [item for item in retail.all("LineItem") if not item.struck]
    fine = [
        row for item in items for content in item.children if content.name in _KINDS for row in _points(content, item)
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
        if node.text and (points := sign * _decimal(node.text, node.name)):
            yield _point(part, item, kind, points, f"{part.name}/{node.name}")


def _reward_points(items: list[Node]) -> Iterator[Row]:
    rewards = [(item, part) for item in items for part in item.all("LoyaltyReward")]
    kept = {id(part) for part in _once([part for _, part in rewards])}
    for item, part in rewards:
        if id(part) in kept:
            yield from _points(part, item)
            said = part.value("RewardCategory") + part.value("RewardType")
            if "Point" in said and (points := _amount(part, "ExtendedRewardAmount")):
                yield _point(part, item, "awarded", points, "LoyaltyReward/ExtendedRewardAmount")
    for item in items:
        for part in item.all("LoyaltyRedemption"):
            back = -1 if part.code("TypeCode") in ("AwardRefund", "RebateRefund", "RedemptionRefund") else 1
            for row in _points(part, item):
                yield row | {"points": _rounded(back * Decimal(row["points"]), 2)}
        for part in item.all("Points"):
            if part.text and (points := _decimal(part.text, "Points")):
                yield _point(part, item, "awarded", points, "Points")


def _point(part: Node, item: Node | None, kind: str, points: Decimal, element: str) -> Row:
    return {
        "line_no": item.value("SequenceNumber") if item else "",
        "loyalty_card_id": part.deep_value("PrimaryAccountNumber", "LoyaltyAccountID", "LoyaltyID"),
        "program_id": part.deep_value("LoyaltyProgramID"),
        "kind": kind,
        "points": _rounded(points, 2),
        "element": element,
    }

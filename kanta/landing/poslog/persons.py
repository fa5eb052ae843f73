"""Where a person stands in a POSLog document: the bytes that an erasure takes out (spec 3-customers rule 10).

The document is read by the parser that landing reads it with, so that an id is found however it is written: padded,
in CDATA, as character references, in any encoding. Of a receipt that names the person, what lies in an element of a
customer or bears a name of a person's (an address, a birth date, a mail) goes; ids, articles and amounts stay. A
part that no parser can read (landing refused the document) goes whole where it names the person.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from kanta.foreign import trimmed
from kanta.landing.drops import DropError
from kanta.landing.names import Names
from kanta.landing.poslog.elements import DEEPEST, parse

#: Elements whose whole content is about a person; ids in them stay.
_PEOPLE = re.compile(
    r"(customer|consumer|person|guest|recipient|contact|card_?holder|addressee)(s|info|information|details?|data|name)?"
    r"|(ship|bill|invoice|deliver)(ping|ing|y|ed)?(to|address|contact)|delivery",
    re.IGNORECASE,
)
#: Elements and attributes that are about a person wherever they stand.
_PERSONAL = re.compile(
    r"(?:\w*name|title|salutation|\w*address\w*|addressline\d*|street\w*|house_?n\w*|city|town|\w*postal\w*|zip\w*"
    r"|\w*mail\w*|\w*phone\w*|\w*telephon\w*|mobile\w*|fax\w*|localnumber|\w*birth\w*|dob|age|gender|sex"
    r"|nationality|passport\w*|\w*licen[cs]e\w*|(personal|customer)?identification\w*|personalid\w*|ssn|taxid\w*|iban"
    r"|\w*comment\w*|\w*remark\w*|notes?|message\w*|greeting\w*)",
    re.IGNORECASE,
)
#: Names that are no person's: of a thing, or of who sold it.
_THINGS = re.compile(
    r"(item|product|article|brand|store|unit|retailstore|promotion|program\w*|tender|tax|operator|cashier|associate"
    r"|employee|worker|workstation|device|register|till|department|file|host|event|reward\w*)name|name_?space",
    re.IGNORECASE,
)
#: What lies in these is about a place, an article or who sold it; the name in one of a line is an article's.
_PLACES = re.compile(
    r"businessunit|retailstore|site|operator(id)?|cashier|associate|worker|employee|merchandisehierarchy|promotion\w*"
    r"|loyaltyprogram|workstation(id)?",
    re.IGNORECASE,
)
_LINES = re.compile(r"item|sale\w*|return|posidentity|tax|\w*reward", re.IGNORECASE)
#: Bulk that repeats what the till printed.
_PRINTED = re.compile(r"receipt(image|data|text|print\w*)|\w*signature\w*|printimage|journal\w*", re.IGNORECASE)
#: Elements and attributes that name an account or a card.
_IDS = re.compile(
    r"(customer|async|party|consumer|person|member(ship)?|loyalty\w*|card|account|primaryaccount|externalcustomer)_?"
    r"(id|number|no|key)",
    re.IGNORECASE,
)
#: Attributes that say what kind a thing is; a program reads by them.
_KINDS = re.compile(
    r"\w*(type|typecode|flag|code|location|action)|xsi:\w+|\w+:schemaLocation|xmlns(:\w+)?|xml:\w+", re.I
)

_TAG = re.compile(r"""<(?:[^<>"']|"[^"]*"|'[^']*')*>""")
_ATTRIBUTE = re.compile(r"""([\w:.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_UNIT = re.compile(r"<(?=(?:[\w.-]+:)?(?:Transaction|Customer)\b)")
_MARKUP = re.compile(r"<!\[CDATA\[|\]\]>|<!--.*?-->", re.DOTALL)
_TELLING = 6  # characters of a value that tells by itself, wherever else it stands


@dataclass
class _Element:
    """An element: its name, its attributes, where its start tag and its end tag begin, in bytes of the document."""

    name: str
    attributes: dict[str, str]
    start: int
    end: int = 0
    pieces: list[str] = field(default_factory=list)
    children: list[_Element] = field(default_factory=list)

    @property
    def text(self) -> str:
        return trimmed("".join(self.pieces))

    def all(self) -> Iterator[_Element]:
        yield self
        for child in self.children:
            yield from child.all()


class _Units:
    """Parser target that hands over each part that may be about one person: a receipt, or a customer outside any."""

    def __init__(self, take: Callable[[_Element, list[tuple[int, str]]], None]) -> None:
        self.take = take
        self.expat: Any = None
        self.stack: list[_Element] = []
        self.asides: list[tuple[int, str]] = []  # comments and processing instructions: where, and what ends them
        self.begun: int | None = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition("}")[2]
        if not self.stack and name not in ("Transaction", "Customer"):
            return
        local = {key.rpartition("}")[2]: value for key, value in attributes.items()}
        element = _Element(name, local, self.expat.CurrentByteIndex)
        if self.stack:
            self.stack[-1].children.append(element)
        else:
            self.begun, self.asides = element.start, []
        self.stack.append(element)
        if len(self.stack) > DEEPEST:  # landing refuses it, too
            raise DropError("oversized", "elements are nested deeper than any of receipts")

    def end(self, tag: str) -> None:
        if self.stack:
            element = self.stack.pop()
            element.end = self.expat.CurrentByteIndex
            if not self.stack:
                self.begun = None
                self.take(element, self.asides)

    def data(self, text: str) -> None:
        if self.stack:
            self.stack[-1].pieces.append(text)

    def comment(self, text: str) -> None:
        self.asides.append((self.expat.CurrentByteIndex, "-->"))

    def pi(self, target: str, text: str | None = None) -> None:
        self.asides.append((self.expat.CurrentByteIndex, "?>"))

    def close(self) -> None:
        """Nothing is left to hand over."""


def blanked(document: bytes, names: Names) -> bytes:
    """The document without the person; the same where it does not name them."""
    erased: list[tuple[int, int]] = []
    done = 0
    text = _Text(document)

    def take(unit: _Element, asides: list[tuple[int, str]]) -> None:
        nonlocal done
        done = text.tag_end(unit.end) if text.at(unit.end, "</") else unit.end
        if any(_names(element, names) for element in unit.all()):
            erased.extend(span for span in _personal(unit, text, names) if span[0] < span[1])
            erased.extend((start, text.find(end, start) + text.length(end)) for start, end in asides)

    units = _Units(take)
    try:
        parse([document], units, "")
    except DropError:
        begun = done if units.begun is None else units.begun
        return _without(document[:begun], erased) + text.encoded(_unread(text.decoded(begun), names))
    return _without(document, erased)


def _names(element: _Element, names: Names) -> bool:
    """Whether an element says that the receipt is the person's."""
    said = {element.name: element.text, **element.attributes}
    return any(_is_theirs(value, names) for key, value in said.items() if _IDS.fullmatch(key) or key.lower() == "id")


def _is_theirs(value: str, names: Names) -> bool:
    return trimmed(value) in names.ids or trimmed(value) in names.cards


def _without(document: bytes, spans: Collection[tuple[int, int]]) -> bytes:
    """The document without these bytes."""
    kept, at = bytearray(), 0
    for start, end in sorted(spans):
        kept += document[at : max(start, at)]
        at = max(at, end)
    return bytes(kept + document[at:])


def _personal(unit: _Element, text: _Text, names: Names) -> Iterator[tuple[int, int]]:
    """The bytes of a person's receipt that are about the person."""
    told: set[str] = set()
    kept: list[_Element] = []

    def walk(element: _Element, within: bool, parent: str) -> Iterator[tuple[int, int]]:
        name, begin = element.name, text.tag_end(element.start)
        if _PLACES.fullmatch(name) and not within:
            return
        personal = bool(_PERSONAL.fullmatch(name)) and not _THINGS.fullmatch(name)
        personal = personal and not (_LINES.fullmatch(parent) and name.lower() in ("name", "title"))
        within = within or bool(_PEOPLE.fullmatch(name)) or (personal and bool(element.children))
        yield from _attributes(element, within or personal, text)
        if _PRINTED.fullmatch(name) or (not element.children and (within or personal) and not _is_id(element, names)):
            told.add(element.text)
            yield begin, element.end
        elif not element.children:
            kept.append(element)
        else:
            if within:  # text between its elements
                yield from _between(element, begin, text)
            for child in element.children:
                yield from walk(child, within, name)

    yield from walk(unit, unit.name == "Customer", "")
    telling = {value for value in told if len(value) >= _TELLING}
    for element in kept:
        if not _is_id(element, names) and any(value in element.text for value in telling):
            yield text.tag_end(element.start), element.end


def _is_id(element: _Element, names: Names) -> bool:
    return bool(_IDS.fullmatch(element.name)) or _is_theirs(element.text, names)


def _between(element: _Element, begin: int, text: _Text) -> Iterator[tuple[int, int]]:
    at = begin
    for child in element.children:
        yield from _filled(at, child.start, text)
        at = text.tag_end(child.end) if text.at(child.end, "</") else child.end
    yield from _filled(at, element.end, text)


def _filled(start: int, end: int, text: _Text) -> Iterator[tuple[int, int]]:
    if trimmed(text.decoded(start, end)):
        yield start, end


def _attributes(element: _Element, about: bool, text: _Text) -> Iterator[tuple[int, int]]:
    """The values of attributes that are about the person; ``about``: their element is."""
    tag = text.decoded(element.start, text.tag_end(element.start))
    for found in _ATTRIBUTE.finditer(tag):
        name, value = found[1].rpartition(":")[2], 2 if found[2] is not None else 3
        personal = about or (_PERSONAL.fullmatch(name) and name.lower() not in ("name", "title"))
        if found[value] and personal and not _IDS.fullmatch(name) and not _KINDS.fullmatch(found[1]):
            start = element.start + text.length(tag[: found.start(value)])
            yield start, start + text.length(found[value])


def _unread(rest: str, names: Names) -> str:
    """What no parser can read, without the parts that name the person; all of it where the head does."""
    starts = [0, *(found.start() for found in _UNIT.finditer(rest)), len(rest)]
    parts = [rest[start:end] for start, end in pairwise(starts)]
    theirs = [names.mentioned(_plain(part)) for part in parts]
    if parts and theirs[0]:
        return ""
    return "".join(part for part, own in zip(parts, theirs, strict=True) if not own)


def _plain(part: str) -> str:
    """As a reader would have it, and as it is written."""
    with suppress(UnicodeError):  # bytes of UTF-8, taken for characters until here
        part = part.encode("latin-1").decode()
    return f"{part} {html.unescape(_MARKUP.sub('', part))}"


class _Text:
    """A document's bytes as text: places are bytes, and markup is plain in every encoding that the parser knows."""

    def __init__(self, document: bytes) -> None:
        self.document = document
        self.codec = "latin-1"  # a byte a character, markup included: UTF-8, and every 8-bit encoding
        if document[:2] in (b"\xff\xfe", b"<\0"):
            self.codec = "utf-16-le"
        elif document[:2] in (b"\xfe\xff", b"\0<"):
            self.codec = "utf-16-be"

    def length(self, text: str) -> int:
        return len(self.encoded(text))

    def encoded(self, text: str) -> bytes:
        return text.encode(self.codec, "surrogatepass")

    def decoded(self, start: int, end: int | None = None) -> str:
        data = self.document[start:end]
        return data.decode(self.codec, "replace" if self.wide else "strict")

    @property
    def wide(self) -> bool:
        return self.codec != "latin-1"

    def at(self, place: int, text: str) -> bool:
        return self.document.startswith(self.encoded(text), place)

    def find(self, text: str, start: int) -> int:
        """Where a text stands from ``start`` on, on a whole character."""
        searched, at = self.encoded(text), start
        while (at := self.document.find(searched, at)) >= 0 and self.wide and (at - start) % 2:
            at += 1
        return len(self.document) if at < 0 else at

    def tag_end(self, start: int) -> int:
        """Behind the tag that begins there."""
        size = 1024
        while start + size // 2 <= len(self.document):
            if found := _TAG.match(self.decoded(start, start + size)):
                return start + self.length(found[0])
            size *= 4
        found = _TAG.match(self.decoded(start))
        return start + self.length(found[0]) if found else start

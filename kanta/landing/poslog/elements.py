"""The elements of a POSLog document, one Transaction at a time.

Elements are known by their local name, whatever namespace they are in (a vendor's element of the same name yields to
the standard's own). One ``Transaction`` element is in memory at a time, so a document of any length passes in constant
memory. Documents with a DTD or entities are refused unread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from xml.etree.ElementTree import ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from kanta.foreign import trimmed
from kanta.landing.drops import DropError
from kanta.landing.spool import RawFile, blocks

MAX_ELEMENTS = 200_000  # in one transaction
MAX_TEXT = 16 << 20  # characters in one transaction
MAX_DEPTH = 50  # below Transaction; what is deeper is no part of a receipt
DEEPEST = 200  # of the document; more refuses the drop
MAX_TOKEN = 4 << 20  # bytes of a tag with its attributes, or of a comment; more refuses the drop
FED = 1 << 20  # bytes that are parsed at once
MAX_NAMES = 20_000  # of elements and attributes; the parser keeps each, and more refuses the drop
MAX_BETWEEN = 500_000  # elements in one transaction, or outside any, that are passed over; more refuses the drop
_SKIPPED = {"ReceiptImage", "ReceiptData", "ElectronicSignature"}  # bulk that says nothing the lines do not


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
        self.names: set[str] = set()
        self.elements = self.length = self.passed = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        namespace, _, name = tag.rpartition("}")
        if not self.depth and name != "POSLog":
            raise DropError("poslog", "the root element is not POSLog")
        self.depth += 1
        self.passed += 1
        self.names.add(tag)
        self.names.update(attributes)
        if self.depth > DEEPEST or self.passed > MAX_BETWEEN or len(self.names) > MAX_NAMES:
            raise DropError("oversized", "the document holds more or deeper elements than any of receipts")
        if self.skipping or (self.stack and (name in _SKIPPED or len(self.stack) > MAX_DEPTH)):
            self.skipping += 1
        elif self.stack or name == "Transaction":
            if not self.stack:
                self.namespace, self.elements, self.length = namespace, 0, 0
                self.passed = 0
            self.elements += 1
            local = {key.rpartition("}")[2]: trimmed(value) for key, value in attributes.items()} if attributes else {}
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
            node.text = trimmed("".join(node.pieces))
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


def _without_end_mark(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The document without the Ctrl-Z that some programs end a text file with."""
    held = b""
    for piece in pieces:
        yield held
        held = piece
    kept = held.rstrip(b"\x1a\r\n\t ")
    yield kept if b"\x1a" in held[len(kept) :] else held


def transactions(raw: RawFile, take: Callable[[Node, bool], None]) -> None:
    """Hands over each Transaction element in order, and whether it is too large to have been kept whole.

    Raises ``DropError`` as :func:`parse` does, and when the document is not POSLog.
    """
    parse(blocks(raw), _Elements(take), raw.file.name)


def parse(document: Iterable[bytes], target: Any, name: str) -> None:
    """Reads a document, of whatever encoding; its ``target`` is told each element, and has the parser as ``expat``.

    Raises ``DropError`` when the document is not well-formed, or declares a DTD or entities.
    """
    parser = DefusedXMLParser(target=target, forbid_dtd=True)
    target.expat = parser.parser
    try:
        fed = 0
        for block in _without_end_mark(document):
            for at in range(0, len(block), FED):
                parser.feed(block[at : at + FED])
                fed += min(FED, len(block) - at)
                if fed - parser.parser.CurrentByteIndex > MAX_TOKEN:  # it waits for the end of a tag or comment
                    raise DropError("oversized", f"a tag or comment is longer than {MAX_TOKEN >> 20} MB", name)
        parser.close()
    except DefusedXmlException as error:
        raise DropError("xml_dtd", "the document has a DTD or entities", name) from error
    except ParseError as error:
        raise DropError("xml", f"not well-formed XML: {error.msg}", name, error.position[0]) from error
    except (ValueError, LookupError) as error:
        raise DropError("encoding", "the document's encoding is not known", name) from error
    except DropError as error:
        raise DropError(error.rule, error.reason, name) from error

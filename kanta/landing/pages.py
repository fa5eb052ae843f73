"""Headers of Parquet pages, read before any page is unpacked: what they claim agrees with the footer, and fits.

A page is unpacked into a buffer of the size its header claims, whatever the footer says of the whole. So each header is
read by itself here (Thrift's compact protocol, as in parquet-format's ``parquet.thrift``: PageHeader, DataPageHeader,
DictionaryPageHeader), which costs some microseconds a page.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow.parquet as pq

MAX_FOOTER = 32 << 20  # bytes
MAX_PAGES = 200_000  # in a file: a page of an ordinary writer holds thousands of rows
MAX_HEADER = 1 << 20  # bytes of a page's header, of which statistics are most
_MAX_NESTED = 10
_DICTIONARY = 2  # PageType
_PREFIXED = "DELTA_BYTE_ARRAY"  # each value may repeat the one before it whole


class PagesError(ValueError):
    """The pages are not those that the footer tells of."""


@dataclass(frozen=True)
class Pages:
    """Pages of some columns: bytes of all unpacked; bytes that a row may need; the largest page of each, added up."""

    unpacked: int
    row: int
    largest: int


@dataclass(frozen=True)
class _Page:
    kind: int
    unpacked: int
    packed: int
    header: int
    values: int


def footer_size(descriptor: int, size: int) -> int:
    """Bytes of the footer, by the file's end. Raises ``PagesError``."""
    end = os.pread(descriptor, 8, max(size - 8, 0))
    if len(end) < 8 or end[4:] != b"PAR1":
        raise PagesError("no footer")
    return int.from_bytes(end[:4], "little")


def pages(descriptor: int, footer: pq.FileMetaData, columns: set[str]) -> Pages:
    """What the headers of these columns' pages claim. Raises ``PagesError`` where they and the footer disagree."""
    unpacked = count = 0
    widest: dict[str, int] = {}
    largest: dict[str, int] = {}
    groups = [footer.row_group(n) for n in range(footer.num_row_groups)]
    if sum(group.num_rows for group in groups) != footer.num_rows:
        raise PagesError("rows of the groups")
    for group in groups:
        if not group.num_rows:  # its pages, if it has any, are not read
            continue
        for n in range(group.num_columns):
            chunk = group.column(n)
            name = chunk.path_in_schema
            if name not in columns:
                continue
            if chunk.num_values != group.num_rows:
                raise PagesError("values of a column")
            of_chunk = values = 0
            for page in _chunk(descriptor, chunk):
                count += 1
                of_chunk += page.unpacked
                values += page.values
                if count > MAX_PAGES:
                    raise PagesError("too many pages")
                if page.kind != _DICTIONARY:
                    bound = page.unpacked if _PREFIXED in chunk.encodings else -(-page.unpacked // max(page.values, 1))
                    widest[name] = max(widest.get(name, 0), bound)
                largest[name] = max(largest.get(name, 0), page.unpacked)
            if of_chunk > chunk.total_uncompressed_size or values != group.num_rows:
                raise PagesError("sizes of pages")
            unpacked += of_chunk
    return Pages(unpacked, sum(widest.values()), sum(largest.values()))


def _chunk(descriptor: int, chunk: pq.ColumnChunkMetaData) -> Iterator[_Page]:
    """The pages of a column chunk."""
    begin = chunk.data_page_offset
    if chunk.has_dictionary_page and chunk.dictionary_page_offset:
        begin = min(begin, chunk.dictionary_page_offset)
    at, end = begin, begin + chunk.total_compressed_size
    while at < end:
        page = _page(descriptor, at)
        if page.kind == _DICTIONARY:  # a dictionary's entries take room of their own, and each some of the page
            if page.values > 8 * page.unpacked:
                raise PagesError("entries of a dictionary")
            page = _Page(page.kind, page.unpacked, page.packed, page.header, 0)
        at += page.header + page.packed
        if at > end:
            raise PagesError("a page behind its column's end")
        yield page


def _page(descriptor: int, at: int) -> _Page:
    size = 512
    while size <= MAX_HEADER:
        data = os.pread(descriptor, size, at)
        try:
            reader = _Compact(data)
            found = reader.struct(0)
            own = found.get(5) or found.get(7) or found.get(8) or {}
            kind, unpacked, packed = (_whole(found.get(n)) for n in (1, 2, 3))
            values = _whole(own.get(1)) if isinstance(own, dict) else 0
            return _Page(kind, unpacked, packed, reader.at, values)
        except IndexError:
            if len(data) < size:
                raise PagesError("a header is cut off") from None
            size *= 8
    raise PagesError("a header is too long")


def _whole(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise PagesError("a size is missing or negative")
    return value


class _Compact:
    """Thrift's compact protocol: whole numbers and structs are kept, all else is passed over.

    Raises ``IndexError`` at the end of the bytes.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def byte(self) -> int:
        value = self.data[self.at]
        self.at += 1
        return value

    def varint(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise PagesError("a number is too long")

    def skip(self, size: int) -> None:
        if size > MAX_HEADER:
            raise PagesError("a header is too long")
        self.at += size
        if self.at > len(self.data):
            raise IndexError

    def struct(self, depth: int) -> dict[int, object]:
        """Whole numbers and structs by their field."""
        if depth > _MAX_NESTED:
            raise PagesError("a header is nested too deep")
        found: dict[int, object] = {}
        number = 0
        while head := self.byte():
            kind = head & 0x0F
            number = number + (head >> 4) if head >> 4 else self.zigzag()
            found[number] = self.value(kind, depth)
        return found

    def zigzag(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def value(self, kind: int, depth: int) -> object:
        """A value of a kind of the protocol; None of one that is passed over."""
        if kind in (4, 5, 6):
            return self.zigzag()
        if kind == 12:
            return self.struct(depth + 1)
        if kind == 3:
            self.skip(1)
        elif kind == 7:
            self.skip(8)
        elif kind == 8:
            self.skip(self.varint())
        elif kind not in (1, 2):  # lists, sets and maps: no page's header has one
            raise PagesError("a header is not one of a page")
        return None

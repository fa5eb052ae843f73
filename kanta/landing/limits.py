"""What a drop, and all drops that a night takes of a feed, may hold, and how it is told that there is no room for it.

Rows, bytes as they lie there, bytes unpacked; the limits are those of ``settings.yaml``. Rows and bytes are known from
the control file and the folder before anything is read; what a file unpacks to, and how many rows a POSLog document
makes, is counted while it is read.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import duckdb

from kanta.landing.drops import DropError
from kanta.programme.model import DropLimits, NightLimits

What = Literal["rows", "megabytes", "unpacked_megabytes"]
MEGABYTE = 1_000_000

# Refused rows are listed one by one as long as somebody could look at them: of a drop, and of all drops of a take.
LISTED, LISTED_BYTES = 100_000, 64 << 20
ALL_LISTED, ALL_LISTED_BYTES = 500_000, 256 << 20

_WORDS = {"rows": "{} rows", "megabytes": "{} MB", "unpacked_megabytes": "{} MB when it is unpacked"}


@dataclass
class Allowance:
    """What one drop may still bring: counted against the limit of a drop, and what the night has left of its own.

    ``taken``: what the night took before it. Bytes are counted in bytes, the limits are megabytes.
    """

    drop: DropLimits
    night: NightLimits
    taken: Counter[What] = field(default_factory=Counter)
    held: Counter[What] = field(default_factory=Counter)

    def expect(self, what: What, more: int, file: str = "") -> None:
        """Refuses the drop if it may not hold that much more. Raises ``DropError`` (drop_limit, night_limit)."""
        held = self.held[what] + more
        unit = 1 if what == "rows" else MEGABYTE
        for setting, limits, count in (
            ("drop_limits", self.drop, held),
            ("night_limits", self.night, self.taken[what] + held),
        ):
            limit: int = getattr(limits, what)
            if count > limit * unit:
                whole = _WORDS[what].format(f"{-(-count // unit):,}")
                said = f"and {setting}.{what} in settings.yaml allows {limit:,}"
                if setting == "drop_limits":
                    next_step = "have it delivered in parts, or raise the limit and release the drop"
                    raise DropError("drop_limit", f"the drop holds {whole} or more, {said}: {next_step}", file)
                held_then = f"with this drop the night would hold {whole} or more"
                raise DropError("night_limit", f"{held_then}, {said}: it waits for the next night", file)

    def count(self, what: What, more: int, file: str = "") -> None:
        """Counts what the drop holds. Raises as :meth:`expect` does."""
        self.expect(what, more, file)
        self.held[what] += more


def too_many(sizes: Mapping[int, tuple[int, int]]) -> set[int]:
    """The drops whose refused rows are not listed one by one, so that each is set aside as a whole.

    ``sizes``: rows that are refused, and bytes of them, by drop. The largest go until the rest can be listed.
    """
    rows, size = (sum(one[n] for one in sizes.values()) for n in (0, 1))
    unlisted = set()
    for drop in sorted(sizes, key=lambda drop: max(sizes[drop][0] / ALL_LISTED, sizes[drop][1] / ALL_LISTED_BYTES))[
        ::-1
    ]:
        own = sizes[drop]
        if own[0] > LISTED or own[1] > LISTED_BYTES or rows > ALL_LISTED or size > ALL_LISTED_BYTES:
            unlisted.add(drop)
            rows, size = rows - own[0], size - own[1]
    return unlisted


def unlisted(said: str) -> DropError:
    """Why a drop is set aside of which so much is refused; ``said``: how much, and for what."""
    return DropError("refused_rows", f"{said}: too much to be listed one by one, so the drop is set aside as a whole")


class UnwrittenError(Exception):
    """What was read cannot be written to a spool: ``error`` says why."""

    def __init__(self, error: OSError) -> None:
        super().__init__(error.strerror or str(error))
        self.error = error


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM)


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk or the memory is full, which says nothing about what was read."""
    if isinstance(error, UnwrittenError):
        return is_full(error.error)
    if isinstance(error, duckdb.IOException):
        return any(os.strerror(number) in str(error) for number in _FULL)
    if isinstance(error, OSError):
        return error.errno in _FULL
    return isinstance(error, (MemoryError, duckdb.OutOfMemoryException))


def in_words(error: BaseException) -> str:
    """The first line of an error's message."""
    return (str(error).splitlines() or [type(error).__name__])[0]

"""Versions of the programme: which one judges a fact (spec 1-interfaces section 4).

A changed programme is a new version, in force from its ``effective_from`` until the day before the next one's; the
first reaches back to the beginning. Versions are seen in an order: superseded ones from ``history/`` by date, and the
current one as each night meets it. Of several for the same date the one seen last is in force. A version's number is
its place in that order, from 1, and never changes. A version once recorded stands; to withdraw one that is not yet in
force, give the replacement the same ``effective_from``.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from kanta.errors import KantaError
from kanta.home import Home
from kanta.programme.loading import HISTORY, checked, refused
from kanta.programme.model import Programme, canonical, from_canonical
from kanta.programme.reading import Problem

Origin = Literal["current", "history"]


@dataclass(frozen=True)
class Version:
    """One version of a programme.

    ``text``: its canonical JSON, to be kept in the lake; ``sha256``: of its content without ``effective_from``;
    ``origin``: whether it was the current programme or a superseded one of ``history/`` when first seen.
    """

    effective_from: date
    programme: Programme
    text: str
    sha256: str
    origin: Origin

    @classmethod
    def of(cls, programme: Programme, effective_from: date, origin: Origin = "current") -> Version:
        """A version as it was just read."""
        text = canonical(programme)
        content = {key: value for key, value in json.loads(text).items() if key != "effective_from"}
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        return cls(effective_from, programme, text, digest, origin)

    @classmethod
    def recorded(cls, effective_from: date, text: str, origin: Origin) -> Version:
        """A version as the lake kept it; raises KantaError when this release no longer understands it."""
        try:
            return cls.of(from_canonical(text), effective_from, origin)
        except ValidationError as error:
            raise KantaError(
                f"A recorded programme version has {error.error_count()} keys this release does not understand",
                where=f"version in force from {effective_from}",
                next_step="run the release that recorded it, or see CHANGELOG.md for what changed",
            ) from None


@dataclass(frozen=True)
class Span:
    """The days a version is in force; ``first`` None: from the beginning, ``last`` None: no end."""

    number: int
    version: Version
    first: date | None
    last: date | None


def versions(home: Home, recorded: Sequence[Version], business_date: date) -> list[Version]:
    """All versions in the order seen: the recorded ones, then those this run sees first (for the caller to record).

    ``recorded``: what earlier runs recorded, in their order. ``business_date``: of this run; a changed programme
    without an ``effective_from`` of its own is in force from it. Raises BadProgramme with the problems of the
    programme and of its history.
    """
    found = list(recorded)
    current, problems = checked(home.programme)
    for folder in sorted((home.programme / HISTORY).glob("*")):
        if folder.is_dir():
            _superseded(folder, found, problems)
    if current is not None and not problems:
        newest = next((version for version in reversed(recorded) if version.origin == "current"), None)
        version = Version.of(current, current.effective_from or business_date)
        same = newest is not None and newest.sha256 == version.sha256
        if newest is None or not same or current.effective_from not in (None, newest.effective_from):
            _, problems = checked(home.programme, version.effective_from)
            problems += _not_superseding(home.programme, version, found)
            found.append(version)
    if current is None or problems:
        raise refused(problems, home.programme)
    return found


def _superseded(folder: Path, found: list[Version], problems: list[Problem]) -> None:
    """Adds a superseded version of ``history/<effective_from>/`` unless it is known."""
    try:
        effective_from = date.fromisoformat(folder.name)
    except ValueError:
        problems.append(Problem(str(folder), 0, "", "must be named for its effective_from, such as 2017-01-01"))
        return
    programme, wrong = checked(folder, effective_from)
    problems.extend(wrong)
    if programme is None or wrong:
        return
    if programme.effective_from not in (None, effective_from):
        problems.append(Problem(str(folder), 0, "effective_from", "must be the date its folder is named for"))
        return
    version = Version.of(programme, effective_from, "history")
    known = [old.sha256 for old in found if old.effective_from == effective_from]
    if not known:
        found.append(version)
    elif version.sha256 not in known:
        problems.append(
            Problem(
                str(folder), 0, "", "differs from the version recorded for that date; restore it, or publish what it "
                "should be as the current programme with that effective_from",
            )
        )  # fmt: skip


def _not_superseding(folder: Path, version: Version, found: list[Version]) -> list[Problem]:
    """A current programme that begins before one of ``history/``, so that it would be the one superseded."""
    later = max((old.effective_from for old in found if old.origin == "history"), default=date.min)
    if version.effective_from >= later:
        return []
    text = f"would be {version.effective_from}, before {HISTORY}/{later}; say from when this programme is in force"
    return [Problem(str(folder), 0, "effective_from", text)]


def spans(seen: Sequence[Version]) -> list[Span]:
    """The versions ever in force by date, without gaps or overlaps; without those replaced on their own date."""
    last_seen = {version.effective_from: number for number, version in enumerate(seen, start=1)}
    starts = sorted(last_seen)
    found = []
    for position, start in enumerate(starts):
        following = starts[position + 1 :]
        last = following[0] - timedelta(days=1) if following else None
        found.append(Span(last_seen[start], seen[last_seen[start] - 1], start if position else None, last))
    return found


def in_force(all_spans: Sequence[Span], day: date) -> Span:
    """The span of the version that judges facts of a day."""
    starts = [span.first or date.min for span in all_spans]
    return all_spans[bisect_right(starts, day) - 1]

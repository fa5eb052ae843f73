"""What head office and a store agree on: names, datasets, manifest, acknowledgement (spec 6-distribution).

Both sides import this and nothing else of each other, so a package means the same to whoever writes and reads it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from kanta import contracts
from kanta.contracts import Contract

SCHEMA_VERSION = 1

#: Its name says that a package is whole: it is written last.
MANIFEST = "manifest.json"

#: Beside a manifest or an acknowledgement, and there before it: its signature (ed25519, base64).
SIGNATURE = ".sig"

#: Folders and files have eight digits.
LAST_SEQUENCE = 99_999_999

#: A store that has tried a package so often still answers, under the same number.
LAST_ATTEMPT = 2**31 - 1

#: A manifest is not read any further.
MOST_BYTES = 4 * 1024 * 1024

_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}")
_SEQUENCE = re.compile(r"(?!0{8})[0-9]{8}")
_ACKNOWLEDGEMENT = re.compile(r"((?!0{8})[0-9]{8})\.ack\.json")

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
#: A hash as a store's own program may write it.
AnyCaseSha256 = Annotated[Sha256, BeforeValidator(lambda text: text.lower() if isinstance(text, str) else text)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Sequence = Annotated[int, Field(ge=1, le=LAST_SEQUENCE)]
Position = Annotated[int, Field(ge=0, le=LAST_SEQUENCE)]
Name = Annotated[str, Field(pattern=rf"^{_PLAIN.pattern}$")]

#: Why a package was not applied; ``fault``: the store itself failed.
Reason = Literal["bad_manifest", "schema", "reused", "gap", "bad_file", "bad_rows", "totals", "fault"]

#: ``rows`` by dataset, ``cards``, ``available`` by reward point (text, two decimals), ``tiers`` by program/tier.
Totals = dict[str, int | dict[str, int] | dict[str, str]]


def is_plain(name: str) -> bool:
    """Whether a name can stand as one part of a path and mean nothing else anywhere."""
    return _PLAIN.fullmatch(name) is not None


def _day(text: str) -> str:
    date.fromisoformat(text)
    return text


class Message(BaseModel):
    """Strict: nothing is converted, nothing unknown is passed over."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class DatasetFile(Message):
    """One dataset of a package: ``rows`` of the file, ``deletes`` of them tombstones, ``bytes`` and hash as sent."""

    name: Name
    file: str | None
    rows: Count
    deletes: Count
    bytes: Count
    sha256: Sha256 | None


class Manifest(Message):
    """``manifest.json``: what a package holds, what it fits on, what the store must find afterwards."""

    schema_version: int
    database: Name
    job: Name
    sequence: Sequence
    mode: Literal["full", "delta"]
    base_sequence: Position
    applies_to: dict[str, Sha256]
    previous_manifest_sha256: Sha256 | None
    business_date: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"), AfterValidator(_day)]
    datasets: tuple[DatasetFile, ...]
    control_totals: Totals

    def to_bytes(self) -> bytes:
        """As it is sent: one line of JSON, keys in the order above."""
        return canonical_json(self.model_dump(mode="json"))


class Acknowledgement(Message):
    """``<sequence>.ack.json``: what came of one attempt to apply a package, and where the store stands now."""

    database: Name
    job: Name
    sequence: Sequence
    manifest_sha256: AnyCaseSha256
    attempt: Annotated[int, Field(ge=1, le=LAST_ATTEMPT)]
    status: Literal["requested", "downloaded", "applied", "download_failed", "apply_failed"]
    reason: Reason | None
    applied_sequence: Position
    applied_manifest_sha256: AnyCaseSha256 | None
    rows: dict[str, Count]
    control_totals: Totals
    message: Annotated[str, Field(max_length=1000)]

    def to_bytes(self) -> bytes:
        """As it is sent: one line of JSON, keys in the order above."""
        return canonical_json(self.model_dump(mode="json"))


class Place(Message):
    """What a path says: the package ``<database>/<job>/<sequence>/`` or its acknowledgement beside the others."""

    database: Name
    job: Name
    sequence: Sequence

    @classmethod
    def of_package(cls, folder: Path) -> Place | None:
        """The place of a package's folder by its last three names; None when they are none."""
        database, job, sequence = ("", "", "", *folder.parts)[-3:]
        if not (is_plain(database) and is_plain(job) and _SEQUENCE.fullmatch(sequence)):
            return None
        return cls(database=database, job=job, sequence=int(sequence))

    @property
    def package(self) -> str:
        """Below the outbox."""
        return f"{self.database}/{self.job}/{self.sequence:08d}"

    @property
    def acknowledgement(self) -> str:
        """Below the inbox."""
        return f"{self.database}/{self.job}/{self.sequence:08d}.ack.json"


def package_sequence(name: str) -> int | None:
    """The sequence that a name in an outbox folder stands for, if any."""
    return int(name) if _SEQUENCE.fullmatch(name) else None


def acknowledged_sequence(name: str) -> int | None:
    """The sequence that a name in an inbox folder stands for, if any."""
    match = _ACKNOWLEDGEMENT.fullmatch(name)
    return int(match[1]) if match else None


@cache
def contract(dataset: str) -> Contract:
    """The contract of a dataset (schemas/packages), whatever job carries it. Raises KeyError for an unknown one."""
    return _contracts()[dataset]


@cache
def _contracts() -> dict[str, Contract]:
    files = sorted((contracts.SCHEMAS / "packages").glob("*/*.odcs.yaml"))
    return {found.dataset: found for found in map(contracts.read, files)}


def total_names(names: Iterable[str]) -> list[str]:
    """The control totals besides ``rows`` that a package of these datasets has."""
    counted = {"customers": "customers", "cards": "cards", "card_balances": "available", "card_tiers": "tiers"}
    return [total for dataset, total in counted.items() if dataset in names]


def canonical_json(document: Any) -> bytes:
    """JSON on one line with its line end, the same bytes for the same content in the same order."""
    return (json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False) + "\n").encode()


def sha256(content: bytes) -> str:
    """The hash by which a manifest or an acknowledgement is known, in hex."""
    return hashlib.sha256(content).hexdigest()

"""SHA-256 of what the lake keeps: taken when a file is written, compared before what was read goes on.

A disk, a copy or a hand that changes one bit leaves a file that can be read and says something else. Each version of a
table names the hash of its files; each record of the lake (head, publication, version) holds that of its own text.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

_CHECKSUM, _BLOCK = "checksum", 1 << 20

#: What this process has hashed since the night began, with what of the file changes whenever it is written.
_hashed: dict[Path, tuple[tuple[int, ...], str]] = {}


def of(path: Path) -> str:
    """The SHA-256 of a file's bytes. Raises OSError."""
    found = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        while block := file.read(_BLOCK):
            found.update(block)
        about = os.fstat(file.fileno())
    _hashed[path] = (_stamp(about), found.hexdigest())
    return found.hexdigest()


def of_all(paths: Iterable[Path]) -> dict[Path, str]:
    """The SHA-256 of each file; empty for one that cannot be read. What this night hashed and nobody wrote since is
    not read again."""
    todo = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(os.cpu_count()) as workers:
        return dict(zip(todo, workers.map(_of, todo), strict=True))


def forget() -> None:
    """A night begins: it trusts nothing that an earlier one has looked at."""
    _hashed.clear()


def _of(path: Path) -> str:
    try:
        known = _hashed.get(path)
        return known[1] if known and known[0] == _stamp(path.stat()) else of(path)
    except OSError:
        return ""


def _stamp(about: os.stat_result) -> tuple[int, ...]:
    return about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns


# ── records ──────────────────────────────────────────────────────────────────────────────────────────────────────


def record(document: Mapping[str, Any], indent: int) -> str:
    """A document as text that names its own checksum."""
    return json.dumps({**document, _CHECKSUM: _of_document(document)}, indent=indent) + "\n"


def document(text: str) -> dict[str, Any]:
    """The document; one written before records had a checksum has none. Raises ValueError when it does not match."""
    found: dict[str, Any] = json.loads(text)
    checksum = found.pop(_CHECKSUM, None)
    if checksum is not None and checksum != _of_document(found):
        raise ValueError("it is not as it was written: its checksum does not match")
    return found


def _of_document(found: Mapping[str, Any]) -> str:
    as_read = json.loads(json.dumps(found))  # a key that is a number is a text by then
    return hashlib.sha256(json.dumps(as_read, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


# ── files that may be lost ───────────────────────────────────────────────────────────────────────────────────────


def seal(path: Path) -> None:
    """Keeps a file's hash beside it, for one that no version of a table names."""
    _beside(path).write_text(of(path), encoding="ascii")


def intact(path: Path) -> bool:
    """Whether a file is as it was sealed; one sealed by nobody, of before there were seals, is taken as it is."""
    try:
        return _beside(path).read_text(encoding="ascii") == of(path)
    except FileNotFoundError:
        return path.exists()
    except (OSError, ValueError):
        return False


def unseal(path: Path) -> None:
    """Removes the hash beside a file that is about to change."""
    with suppress(FileNotFoundError):
        _beside(path).unlink()


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")

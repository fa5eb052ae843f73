"""What a programme may say that no engine carries out yet. The one place to shorten as engines arrive.

Key: a key path, ``[]`` for every item of a list or value of a mapping; with ``=`` only for these values (a regular
expression). Keys left at their default never count. Value: what is missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from kanta.programme.model import Model
from kanta.programme.reading import KeyPath

SETTINGS_LATER: dict[str, str] = {
    f"{place}=(?!file:)[A-Za-z0-9+.-]{{2,}}:.*": "places other than local folders" for place in ("landing", "lake")
}


def not_yet(model: Model, table: Mapping[str, str]) -> Iterator[tuple[KeyPath, str]]:
    """Each use of a key that waits for its engine, with what is missing."""
    content = model.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    for pattern, missing in table.items():
        keys, _, values = pattern.partition("=")
        for path, value in _find(content, re.findall(r"\[\]|[^.\[\]]+", keys), ()):
            if not values or re.fullmatch(values, str(value)):
                yield path, f"is not carried out yet ({missing}); remove it"


def _find(value: Any, parts: list[str], path: KeyPath) -> Iterator[tuple[KeyPath, Any]]:
    if not parts:
        yield path, value
    elif parts[0] != "[]":
        if isinstance(value, dict) and parts[0] in value:
            yield from _find(value[parts[0]], parts[1:], (*path, parts[0]))
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _find(item, parts[1:], (*path, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from _find(item, parts[1:], (*path, position))

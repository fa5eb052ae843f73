"""What the programme tests share: a small valid programme, and the problems of a changed one."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from kanta.errors import BadProgramme
from kanta.programme import load

Json = dict[str, Any]

VALID: Json = {
    "effective_from": "2026-01-01",
    "accounting_currency": "USD",
    "reward_points": [
        {"id": "points", "type": "quantity", "redeemable": True, "expiration": {"value": 12, "unit": "month"}},
        {"id": "status", "type": "quantity"},
        {"id": "cash", "type": "amount", "currency": "USD", "redeemable": True},
    ],
    "date_intervals": [
        {
            "id": "past_year",
            "start": {"from": "evaluation_date", "offset": -12, "unit": "month"},
            "end": {"from": "evaluation_date"},
        },
        {
            "id": "coming_year",
            "start": {"from": "evaluation_date"},
            "end": {"from": "evaluation_date", "offset": 12, "unit": "month"},
        },
    ],
    "programs": [
        {
            "id": "club",
            "tiers": [
                {
                    "id": "gold",
                    "level": 2,
                    "validity": "coming_year",
                    "rules": [{"reward_point": "status", "minimum": 100, "window": "past_year"}],
                }
            ],
        }
    ],
    "schemes": [
        {
            "id": "everywhere",
            "program": "club",
            "channels": ["all"],
            "earning": [
                {
                    "id": "base",
                    "activity": "purchase_amount",
                    "per": "1.00",
                    "currency": "USD",
                    "reward_point": "points",
                    "points": 1,
                }
            ],
            "redemption": [
                {
                    "id": "pay",
                    "type": "payment_by_amount",
                    "reward_point": "points",
                    "points": 100,
                    "per": "1.00",
                    "currency": "USD",
                }
            ],
        }
    ],
    "rfm": [{"id": "retail", "period": {"rolling": 24, "unit": "month"}, "channels": ["all"]}],
}


def changed(path: str, value: Any) -> Json:
    """The valid programme with one value set at a dotted path (numbers: list positions; ``+`` adds to a list)."""
    programme = deepcopy(VALID)
    parts = path.split(".")
    node: Any = programme
    for part in parts[:-1]:
        node = node[int(part)] if isinstance(node, list) else node.setdefault(part, {})
    if parts[-1] == "+":
        node.append(value)
    elif isinstance(node, list):
        node[int(parts[-1])] = value
    else:
        node[parts[-1]] = value
    return programme


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty programme folder of a home."""
    (tmp_path / "programme").mkdir()
    return tmp_path / "programme"


@pytest.fixture
def problems(folder: Path) -> Callable[..., list[str]]:
    """The problems of a programme (one, or files by name), each without the folder: ``file:line: key: message``."""

    def found(programme: Json | None = None, **files: str) -> list[str]:
        if programme is not None:
            files["programme"] = json.dumps(programme, indent=1)
        for name, text in files.items():
            (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        try:
            load(folder)
        except BadProgramme as error:
            return [problem.replace(f"{folder}/", "") for problem in error.problems]
        return []

    return found

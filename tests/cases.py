"""The worked cases beside the repository (``../shared/cases``): their programmes, put together as its README says."""

from __future__ import annotations

import json
from copy import deepcopy
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

SHARED = Path(__file__).parent.parent.parent / "shared"
CASES = SHARED / "cases"

Case = dict[str, Any]

#: Lists of a programme that a case merges by id; all deeper lists it replaces.
_BY_ID = ("reward_points", "date_intervals", "programs", "schemes", "rfm")


@cache
def _read(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; the worked cases belong beside the repository, in {SHARED}")
    return json.loads(path.read_text(encoding="utf-8"))


def bases(folder: str = "") -> dict[str, Any]:
    """What the cases share: ``club``, ``rfm`` and ``rows``; ``folder``: of a later page (``page7``)."""
    shared: dict[str, Any] = deepcopy(_read(CASES / folder / "loyalty" / "bases.json"))
    return shared


def cases(kind: str) -> dict[str, Case]:
    """All cases of a kind (``loyalty``, ``rfm``, ``page7/loyalty``) by id, in order; fails when there are none.

    Each says in ``bases`` where what it shares with others stands.
    """
    found = {}
    for path in sorted((CASES / kind).glob("*.json")):
        content = _read(path)
        if "base" in content:
            found[content["id"]] = deepcopy(content) | {"bases": kind.rpartition("/")[0]}
    if not found:
        raise FileNotFoundError(f"no {kind} cases in {CASES / kind}; they belong beside the repository")
    return found


def programme_of(case: Case) -> dict[str, Any]:
    """The case's programme: its base's with the case's own laid over."""
    return laid_over(bases(case.get("bases", ""))[case["base"]]["programme"], case.get("programme", {}))


def earlier_programmes_of(case: Case) -> list[dict[str, Any]]:
    """The superseded programmes of a case, each laid over the same base."""
    base = bases(case.get("bases", ""))[case["base"]]["programme"]
    return [laid_over(base, earlier) for earlier in case.get("earlier_programmes", [])]


def write_programmes(case: Case, folder: Path) -> None:
    """Writes a case's programme, and the superseded ones into ``history/``, into a programme folder."""
    write_programme(programme_of(case), folder)
    for earlier in earlier_programmes_of(case):
        write_programme(earlier, folder / "history" / earlier["effective_from"])


def write_programme(programme: dict[str, Any], folder: Path) -> None:
    """Writes one programme as ``programme.yaml`` (JSON is YAML)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "programme.yaml").write_text(json.dumps(programme, indent=1), encoding="utf-8")


def laid_over(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``over`` laid over ``base``: objects key by key, the lists of ``_BY_ID`` by id, everything else replaced."""
    result = deepcopy(base)
    for key, value in over.items():
        if key in _BY_ID:
            items = {item["id"]: item for item in result.get(key, [])}
            for item in value:
                items[item["id"]] = {**items.get(item["id"], {}), **deepcopy(item)}
            result[key] = list(items.values())
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = laid_over(result[key], value)
        else:
            result[key] = deepcopy(value)
    return result


def drops_of(case: Case) -> dict[str, dict[str, list[dict[str, str]]]]:
    """The case's drops (``feed/business_date/source`` -> dataset -> whole rows), its base's first."""
    shared = bases(case.get("bases", ""))
    defaults, given = shared["rows"], shared[case["base"]].get("landing", {})
    drops: dict[str, dict[str, list[dict[str, str]]]] = {}
    for drops_given in (given, case.get("landing", {}), _purchases(case)):
        for drop, datasets in drops_given.items():
            for dataset, rows in datasets.items():
                whole = [_filled(defaults.get(dataset, {}) | row, drop) for row in rows]
                drops.setdefault(drop, {}).setdefault(dataset, []).extend(whole)
    return drops


def _filled(row: dict[str, Any], drop: str) -> dict[str, str]:
    """A row with ``{column}``, ``{day}`` and ``{source}`` of its defaults put in, all as text."""
    _, day, source = drop.split("/")
    filled = {column: str(value) for column, value in row.items()}
    for _ in range(4):  # a default may name a column whose default names another
        names = {**filled, "day": day, "source": source}
        filled = {column: value.format(**names) if "{" in value else value for column, value in filled.items()}
    return filled


def _purchases(case: Case) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """The transactions behind an RFM case's ``purchases``: row n is Tn, of one line, paid in cash."""
    drops: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for number, purchase in enumerate(case.get("purchases", []), start=1):
        net, tax = Decimal(purchase["net"]), Decimal(purchase.get("tax", "0.00"))
        kind, quantity = ("return", "-1") if net < 0 else ("sale", "1")
        key = {"transaction_id": f"T{number}"}
        drop = drops.setdefault(f"pos/{purchase['date']}/{purchase.get('store', 'S1')}", {})
        drop.setdefault("transactions", []).append(
            key
            | {"type": kind, "net_amount": str(net), "tax_amount": str(tax), "total_amount": str(net + tax)}
            | {"customer_id": purchase.get("customer", ""), "loyalty_card_id": purchase.get("card", "")}
        )
        drop.setdefault("lines", []).append(
            key | {"kind": kind, "quantity": quantity, "net_amount": str(net), "tax_amount": str(tax)}
        )
        drop.setdefault("tenders", []).append(key | {"amount": str(net + tax)})
    return drops

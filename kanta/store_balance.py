"""What a store answers at the till: a card's balance, from its own database (``kanta store balance``)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from kanta.errors import KantaError
from kanta.store import opened


def balance(database: Path, card: str) -> list[dict[str, Any]]:
    """What a card holds, by program and reward point, as the store has it; nothing for a card it does not know.

    ``business_date``: the night it was told, so it is what the card holds on the day after.
    """
    if not database.is_file():
        raise KantaError(
            "There is no such store database",
            where=str(database),
            next_step=f"kanta store apply PACKAGE --database {database}",
        )
    with opened(database, read_only=True) as con:
        names = ("program_id", "reward_point_id", "available", "unvested", "expiring_30d", "business_date")
        query = f"""
            select {", ".join(names)}
            from card_balances
            cross join (select max(business_date) as business_date from receiver.applied where job = '1050')
            where card_id = ?
            order by program_id, reward_point_id
        """
        try:
            rows = con.execute(query, [card]).fetchall()
        except duckdb.CatalogException:  # no package was applied yet
            rows = []
    return [dict(zip(names, row, strict=True)) for row in rows]


def balance_text(card: str, rows: list[dict[str, Any]]) -> str:
    """:func:`balance` for people."""
    if not rows:
        return f"The store knows no points of card {card}."
    return "\n".join(
        f"{card}  {row['program_id']}  {row['reward_point_id']}: {row['available']} available,"
        f" {row['unvested']} not yet usable, {row['expiring_30d']} expire within 30 days"
        f" (told on {row['business_date']})"
        for row in rows
    )

"""Accounts: cards whose points can touch each other, and which card owns the points of one that was replaced.

Both are facts about a handful of links, not about the cards at large. Rules: spec 2-loyalty section 2.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta

import pyarrow as pa

from kanta.engine import Engine
from kanta.night import FOREVER


def join(engine: Engine) -> None:
    """Registers ``loyalty._joined`` (node, account_id, circle_id) from ``loyalty._account_links``."""
    links = engine.rows("select node, other_node, shared from loyalty._account_links order by all")
    accounts = components((node, other) for node, other, _ in links)
    circles = components((node, other) for node, other, shared in links if shared)
    rows = [(node, accounts[node], circles.get(node, node)) for node in sorted(accounts)]
    engine.register("loyalty._joined", texts(["node", "account_id", "circle_id"], rows))


def components(links: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The smallest name in each connected part, for every name that a link names."""
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for node, other in links:
        first, second = sorted((root(node), root(other)))
        parent[second] = first
    return {node: root(node) for node in list(parent)}


Replacement = tuple[str, str, date, date]


def replace(engine: Engine) -> None:
    """Registers ``loyalty._replaced`` from ``loyalty._replacement_claims``.

    One row for each replaced card and each span of dates (owned_from … owned_to) in which another card owns its points;
    ``replaced_on`` is the day it ceased, ``drop_date`` that of the drop that said so.
    """
    claims = engine.rows("select old_card_id, card_id, replaced_on, drop_date from loyalty._replacement_claims")
    rows = owners(claims)
    columns = list(zip(*rows, strict=True)) if rows else [()] * 6
    names = ["card_id", "owner_card_id", "owned_from", "owned_to", "replaced_on", "drop_date"]
    types = [pa.string(), pa.string(), *[pa.date32()] * 4]
    arrays = [pa.array(column, type_) for column, type_ in zip(columns, types, strict=True)]
    engine.register("loyalty._replaced", pa.table(arrays, names=names))


def owners(claims: Iterable[Replacement]) -> list[tuple[str, str, date, date, date, date]]:
    """Who owns the points of each replaced card, and when, from (old card, new card, day, drop date).

    A card is replaced once, by the first to say so; a claim that would lead back to the old card is void.
    """
    accepted: dict[str, Replacement] = {}
    for claim in sorted(claims, key=lambda claim: (claim[2], claim[0], claim[1])):
        old, new, *_ = claim
        last = new
        while last in accepted:
            last = accepted[last][1]
        if old not in accepted and last != old:
            accepted[old] = claim
    rows = []
    for old, (_, _, replaced_on, drop_date) in sorted(accepted.items()):
        spans: dict[date, str] = {}
        card, day = old, replaced_on
        while card in accepted:
            _, card, next_day, _ = accepted[card]
            day = max(day, next_day)
            spans[day] = card  # of several on one day the last owns them
        days = sorted(spans)
        for begins, following in zip(days, [*days[1:], None], strict=True):
            ends = following - timedelta(days=1) if following else FOREVER
            rows.append((old, spans[begins], begins, ends, replaced_on, drop_date))
    return rows


def texts(names: list[str], rows: Sequence[tuple[str, ...]]) -> pa.Table:
    """Rows of texts as a table."""
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(names)
    return pa.table([pa.array(column, pa.string()) for column in columns], names=names)

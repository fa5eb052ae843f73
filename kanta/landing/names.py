"""The names under which a person appears in drops and in the lake, and the columns that hold them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from kanta.foreign import trimmed

#: Which names a column holds, by its name in any contract of landing or lake.
NAMED_BY = {
    "account": "ids", "other_account": "ids", "customer_id": "ids", "async_id": "ids", "owner": "ids",
    "operation_id": "operations", "order_id": "orders", "transaction_id": "orders",
    "card_id": "cards", "loyalty_card_id": "cards", "from_card_id": "cards", "to_card_id": "cards",
}  # fmt: skip


@dataclass(frozen=True)
class Names:
    """All names under which a person appears: accounts and GUIDs, operations, orders, cards."""

    ids: frozenset[str]
    operations: frozenset[str]
    orders: frozenset[str]
    cards: frozenset[str]

    def own(self, row: Mapping[str, str]) -> bool:
        """Whether a row, its values as text, is the person's; blanks around a value say nothing."""
        return any(
            column in NAMED_BY and trimmed(value) in getattr(self, NAMED_BY[column]) for column, value in row.items()
        )

    @cached_property
    def all(self) -> frozenset[str]:
        return self.ids | self.operations | self.orders | self.cards

    @cached_property
    def _words(self) -> re.Pattern[str]:
        longest = sorted(filter(None, self.all), key=len, reverse=True)
        return re.compile(r"(?<!\w)(?:" + ("|".join(map(re.escape, longest)) or r"(?!)") + r")(?!\w)")

    def mentioned(self, text: str) -> bool:
        """Whether a text holds one of the names as a word."""
        return bool(self._words.search(text))

"""SQL models: the files of ``transforms/``, their graph read from their own FROM clauses.

The path is the table: ``transforms/loyalty/balances.sql`` makes ``loyalty.balances``. A name that begins with an
underscore is a private step: worked out for the night, never published.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import sqlglot
from sqlglot import exp
from sqlglot.optimizer.scope import traverse_scope

TRANSFORMS = Path(__file__).parent.parent / "transforms"

#: What a model may ask for; anything else is an error in the model. The last line is an RFM run's own (``kanta.rfm``).
PARAMETERS = frozenset(
    {"business_date", "since", "since_date", "published_date", "seq", "checkpoint"}
    | {"run", "scope", "as_of", "period_start", "period_end"}
)


@dataclass(frozen=True)
class Model:
    """One SELECT. ``inputs``: the tables it reads; ``parameters``: the $names it asks for."""

    name: str
    path: Path
    sql: str

    @property
    def private(self) -> bool:
        return self.name.split(".")[1].startswith("_")

    @property
    def inputs(self) -> tuple[str, ...]:
        return inputs_of(self.sql)

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(sorted(set(re.findall(r"\$([a-z_]+)", self.sql))))

    @property
    def about(self) -> str:
        """The comment at the head of the file, as one line."""
        head = re.match(r"(?:--[^\n]*\n)+", self.sql)
        return " ".join(line.lstrip("- ").strip() for line in head[0].splitlines()) if head else ""


@cache
def inputs_of(sql: str) -> tuple[str, ...]:
    """The tables (``schema.table``) a statement reads, in name order; its own CTEs are none."""
    found = set()
    for scope in traverse_scope(sqlglot.parse_one(sql, dialect="duckdb")):
        for source in scope.sources.values():
            if isinstance(source, exp.Table) and source.db:
                found.add(f"{source.db}.{source.name}")
    return tuple(sorted(found))


@cache
def models() -> dict[str, Model]:
    """All models by table name, in name order."""
    found = {}
    for path in sorted(TRANSFORMS.glob("*/*.sql")):
        name = f"{path.parent.name}.{path.stem}"
        found[name] = Model(name=name, path=path, sql=path.read_text(encoding="utf-8").strip())
    return found


@cache
def graph() -> dict[str, tuple[str, ...]]:
    """Each model with the tables it reads."""
    return {name: model.inputs for name, model in models().items()}


def in_order(names: Iterable[str]) -> list[str]:
    """These models, each after those of them it reads; ties by name."""
    wanted = set(names)
    sorter = TopologicalSorter({name: sorted(wanted.intersection(models()[name].inputs)) for name in sorted(wanted)})
    return list(sorter.static_order())

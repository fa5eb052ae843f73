"""V(n): what each store database is to hold on the opening day, for all databases in one pass (spec 6-distribution).

The rows are the private models ``transforms/distribution/_<dataset>``. Most have a ``database`` column; those without
one (the programme, the products) are the same for every database.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import sqlglot
from sqlglot import exp

from kanta import contracts, models, programme
from kanta.distribution.protocol import Totals
from kanta.engine import Engine
from kanta.errors import KantaError
from kanta.home import Home
from kanta.lake import Lake
from kanta.night import Night
from kanta.programme import dates
from kanta.programme.model import Distribution
from kanta.programme.relations import relations


@dataclass(frozen=True)
class Database:
    """A database to serve. ``offline``: it has the channels of another, for use without a network."""

    name: str
    data_group: str
    offline: bool


@dataclass(frozen=True)
class Published:
    """What is to be sent: a publication's rows in an engine, its date, and the programme's rules of distribution."""

    engine: Engine
    business_date: date
    rules: Distribution

    def databases(self) -> list[Database]:
        """The databases to serve, by name."""
        rows = self.engine.rows(
            "select distinct database, data_group, is_offline from distribution._databases order by database"
        )
        return [Database(*row) for row in rows]

    def known(self) -> set[str]:
        """Every database there is, of whatever data group."""
        rows = self.engine.rows(
            "select channels.database from reference.channels as channels inner join distribution._request as request"
            " on request.opening_day between channels.valid_from and channels.valid_to"
            " where channels.database is not null"
        )
        online = {name for (name,) in rows}
        return online | {name for name, of in self.rules.offline_databases.items() if of in online}


@contextmanager
def published(
    home: Home, business_date: date, data_group: str | None, workspace: Path, as_of: date | None = None
) -> Iterator[Published]:
    """The newest publication (``as_of``: that of this night), ready to be read; the databases to serve are known.

    A business date before it is served by it: dates never go back, and what came since is in it. Raises KantaError
    when the night of ``business_date`` is not published yet.
    """
    lake = Lake(home)
    state = lake.published(as_of)
    if state.business_date is None or state.business_date < business_date:
        raise KantaError(
            f"The night of {business_date} is not published yet, so there is nothing to send",
            where=str(lake.root),
            next_step=f"kanta run --date {business_date}",
        )
    with Engine(workspace) as engine:
        night = Night(home, lake, engine, "distribution", state, state.business_date)
        versions = attach(night)
        lake.check_what_was_read()  # what goes to stores is made from these files
        rules = request(engine, state.business_date, versions, data_group)
        yield Published(engine, state.business_date, rules)


def attach(night: Night) -> list[programme.Version]:
    """Makes the lake's tables that the models read readable; gives the programme's versions (:func:`recorded`).

    A version no night has seen yet is no store's business.
    """
    lake = {table for table in read() if not table.startswith(("distribution.", "programme."))}
    night.attach(*sorted(lake))
    return recorded(night)


def recorded(night: Night) -> list[programme.Version]:
    """The programme's versions that nights recorded. Raises KantaError when no night has recorded one."""
    night.attach("ops.decisions")
    contents = night.engine.rows(
        "select content from ops.decisions where kind = 'programme_version' order by seq, decision_id"
    )
    if not contents:
        raise KantaError(
            "No night has recorded the programme yet, so there are no rules to send",
            where="ops.decisions",
            next_step=f"kanta run --date {night.business_date}",
        )
    return [
        programme.Version.recorded(date.fromisoformat(item["effective_from"]), item["text"], item["origin"])
        for item in (json.loads(content) for (content,) in contents)
    ]


def rules(home: Home) -> Distribution:
    """The programme's choices for what is published now. Raises KantaError when nothing is."""
    lake = Lake(home)
    state = lake.published()
    with TemporaryDirectory() as folder, Engine(Path(folder)) as engine:
        versions = recorded(Night(home, lake, engine, "distribution", state, state.night))
    return programme.in_force(programme.spans(versions), state.night + timedelta(days=1)).version.programme.distribution


def request(
    engine: Engine, business_date: date, versions: list[programme.Version], data_group: str | None
) -> Distribution:
    """Registers what is asked for: the programme of the opening day, and ``distribution._request``, one row.

    It says the opening day, since when transactions make a card involved, the programme's version, the data group
    (null: all) and the programme's choices. ``distribution._databases`` is worked out at once. Returns the choices.
    """
    opening_day = business_date + timedelta(days=1)
    for name, table in relations(versions, [opening_day]).items():
        if name in read():
            engine.register(name, table)
    span = programme.in_force(programme.spans(versions), opening_day)
    chosen = span.version.programme.distribution
    row = {
        "opening_day": pa.array([opening_day], pa.date32()),
        "involved_since": pa.array([dates.add(opening_day, -chosen.involved_months, "month")], pa.date32()),
        "version": pa.array([span.number], pa.int32()),
        "data_group": pa.array([data_group], pa.string()),
        "all_cards": pa.array([chosen.cards == "all"], pa.bool_()),
        "include_balances": pa.array([chosen.include_balances], pa.bool_()),
        "hide_customers_offline": pa.array([chosen.filter_shared_customer_tables], pa.bool_()),
    }
    engine.register("distribution._request", pa.table(row))
    offline = chosen.offline_databases
    names = {"database": pa.array(offline, pa.string()), "online_database": pa.array(offline.values(), pa.string())}
    engine.register("distribution._offline", pa.table(names))
    _define(engine, ("_databases",))
    return chosen


# ── working the rows out ─────────────────────────────────────────────────────────────────────────────────────────


@cache
def contracts_of_all() -> tuple[str, ...]:
    """Every dataset that has a contract, by name."""
    return tuple(sorted(path.name.partition(".")[0] for path in (contracts.SCHEMAS / "packages").glob("*/*.odcs.yaml")))


def steps(datasets: Iterable[str]) -> list[str]:
    """The private models behind these datasets and their control totals, each after those it reads."""
    found = {"distribution._databases"}
    waiting = [f"distribution._{dataset}" for dataset in datasets]
    if "distribution._cards" in waiting:
        waiting.append("distribution._card_totals")
    while waiting:
        name = waiting.pop()
        if name not in found and name in models.models():
            found.add(name)
            waiting += [table for table in models.models()[name].inputs if table.startswith("distribution._")]
    return [name.partition(".")[2] for name in models.in_order(found)]


@cache
def read() -> frozenset[str]:
    """Everything that the models of all datasets read."""
    return frozenset(
        table for step in steps(contracts_of_all()) for table in models.models()[f"distribution.{step}"].inputs
    )


def work_out(engine: Engine, datasets: Iterable[str]) -> None:
    """Works the rows of these datasets out, for all databases to serve."""
    names = [step for step in steps(datasets) if step != "_databases"]
    if "_card_balances" in names:
        # Balances and what vests on the opening day are both read from them: worked out once, and no wider than that.
        columns = "card_id, program_id, reward_point_id, points, taken, usable_from, expires_on"
        engine.define("distribution._open_lots", f"select {columns} from loyalty.open_lots")
        engine.view("loyalty.open_lots", "select * from distribution._open_lots", {})
    _define(engine, names)


def _define(engine: Engine, names: Iterable[str]) -> None:
    for name in names:
        engine.define(f"distribution.{name}", models.models()[f"distribution.{name}"].sql)


@cache
def is_shared(dataset: str) -> bool:
    """Whether a dataset is the same for every database: its model names none."""
    statement = sqlglot.parse_one(models.models()[f"distribution._{dataset}"].sql, dialect="duckdb")
    return "database" not in statement.named_selects if isinstance(statement, exp.Query) else False


def card_totals(engine: Engine) -> dict[str, Totals]:
    """Each database's control totals of its cards: ``cards``, ``available`` by reward point, ``tiers``."""
    found: dict[str, Totals] = {}
    rows = engine.rows("select * from distribution._card_totals order by database, total, name")
    for database, of_database in groupby(rows, key=itemgetter(0)):
        parts: dict[str, dict[str, str]] = {"cards": {}, "available": {}, "tiers": {}}
        for _, total, name, value in of_database:
            parts[total][name] = value
        found[database] = {
            "cards": int(parts["cards"].get("", "0")),
            "available": parts["available"],
            "tiers": {tier: int(cards) for tier, cards in parts["tiers"].items()},
        }
    return found

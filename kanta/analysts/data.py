"""What the analysts' page reads: ``lake/page.duckdb``, to which is added up what it asks of everybody."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from kanta.analysts import prepared
from kanta.engine import Engine, literal
from kanta.home import Home
from kanta.lake import Lake
from kanta.models import models
from kanta.night import renamed_in

#: The filters that are traits of a customer, in the order they are shown.
TRAITS = ("channel", "tier", "country", "segment")


@dataclass(frozen=True)
class Filters:
    """What an analyst looks at. Empty traits take everybody in; ``before`` is the date moves are counted from."""

    definition: str
    as_of: date
    before: date | None = None
    channel: str = ""
    tier: str = ""
    country: str = ""
    segment: str = ""

    @property
    def whole(self) -> bool:
        """Whether everybody is taken in."""
        return not any(getattr(self, trait) for trait in TRAITS)

    def where(self, table: str = "", *traits: str) -> str:
        """The filters as a condition on the columns of ``table`` (default: all traits)."""
        prefix = f"{table}." if table else ""
        chosen = [trait for trait in traits or TRAITS if getattr(self, trait)]
        return " and ".join([f"{prefix}{trait} = ${trait}" for trait in chosen] or ["true"])

    @property
    def parameters(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("definition", "as_of", "before", *TRAITS)}


class Published:
    """One publication, opened for reading. Every answer is an Arrow table; calls may come from several sessions."""

    def __init__(self, home: Home, opened: Path) -> None:
        """``opened``: the file as :func:`kanta.analysts.prepared.current` has it."""
        self.engine = Engine(Lake(home).root / "work")
        self.engine.execute("set parquet_metadata_cache = true")  # the lake's files never change
        self.engine.execute(f"attach {literal(str(opened))} as lake (read_only)")
        self.engine.execute("use lake")
        self.business_date: date = self.engine.value("select business_date from main.publication")
        self.personal = home.settings.analysts_see_personal_data
        self._asking = threading.Lock()
        self._made: dict[str, tuple[Any, ...]] = {}

    def ask(self, sql: str, filters: Filters | None = None, **parameters: Any) -> pa.Table:
        with self._asking:
            for name in _OF_DATES:
                if filters and name in sql:
                    self._make(name, filters)
            return self.engine.arrow(sql, (filters.parameters if filters else {}) | parameters)

    def _make(self, name: str, filters: Filters) -> None:
        """Sees to it that ``name`` is of these dates; in the turn of the answer that reads it, for another may ask for
        other dates. Of those the page opens with the night has put it together."""
        dates = tuple(getattr(filters, each) for each in _OF_DATES[name])
        if self._made.get(name) == dates:
            return
        opening = f"select {', '.join(_OF_DATES[name])} from analysts._opening where definition = $definition"
        source = f"analysts.{name}"
        if dates not in self.engine.rows(opening, filters.parameters):
            source = f"{name}_then"
            chosen = "(select $definition as definition, $as_of as as_of, $before::date as before)"
            sql = renamed_in(models()[f"analysts.{name}"].sql, {"analysts._opening": chosen})
            self.engine.execute(f"create or replace temp table {source} as {sql}", filters.parameters)
        of = literal(filters.definition)
        self.engine.execute(f"create or replace temp view {name} as select * from {source} where definition = {of}")
        self._made[name] = dates

    def values(self, sql: str, filters: Filters | None = None, **parameters: Any) -> list[Any]:
        """The first column of an answer."""
        table: pa.Table = self.ask(sql, filters, **parameters)
        return list(table.column(0).to_pylist())

    def definitions(self) -> list[str]:
        return self.values("select distinct definition from rfm.segments order by 1")

    def dates(self, definition: str) -> list[date]:
        """The dates a definition was worked out on, newest first."""
        return self.values(
            "select distinct as_of from rfm.segments where definition = $definition order by 1 desc",
            definition=definition,
        )

    def traits(self, trait: str, definition: str) -> list[str]:
        """The values a filter can take."""
        return self.values(
            f"select distinct {trait} from analysts._cube where definition = $definition and {trait} <> '' order by 1",
            definition=definition,
        )

    # ── one answer for each view ─────────────────────────────────────────────────────────────────────────────

    def trend(self, filters: Filters) -> pa.Table:
        """Customers and money of each segment over all dates."""
        return self.ask(
            "select as_of, segment, cast(sum(customers) as bigint) as customers,"
            " cast(sum(purchases) as bigint) as purchases, sum(revenue) as revenue"
            f" from analysts._cube where definition = $definition and {filters.where()} group by all order by all",
            filters,
        )

    def segments(self, filters: Filters) -> pa.Table:
        return self.ask(
            "select segment, cast(sum(customers) as bigint) as customers,"
            " round(100 * sum(customers) / sum(sum(customers)) over (), 2) as percent,"
            " cast(sum(purchases) as bigint) as purchases, sum(revenue) as revenue,"
            " cast(sum(revenue) / cast(sum(customers) as bigint) as decimal(18, 2)) as revenue_each"
            f" from analysts._cube where definition = $definition and as_of = $as_of and {filters.where()}"
            " group by segment order by customers desc, segment",
            filters,
        )

    def grid(self, filters: Filters) -> pa.Table:
        """Customers and money for each recency and frequency score."""
        return self.ask(
            "select r, f, cast(sum(customers) as bigint) as customers, sum(revenue) as revenue from analysts._cube"
            f" where definition = $definition and as_of = $as_of and {filters.where()} group by all order by all",
            filters,
        )

    def customers(self, filters: Filters, first: int | None = None) -> pa.Table:
        """The customers behind a view, best first; ``first``: no more than so many."""
        return self.ask(
            "select customer_id, segment, composite, r, f, m, last_purchase_on, frequency, monetary_total,"
            " channel, tier, country from rfm.scores left join analysts._profiles using (customer_id)"
            f" where definition = $definition and as_of = $as_of and {filters.where()}"
            f" order by monetary_total desc, customer_id{_no_more_than(first)}",
            filters,
        )

    def moves(self, filters: Filters) -> pa.Table:
        """Customers by segment on two dates, with what caused the moves where the dates follow each other."""
        whole = replace(filters, segment="").whole
        return self.ask(
            f"""
            with flows as (
                select from_segment, to_segment, sum(customers) as customers, sum(revenue) as revenue
                {self._between(filters)}
                group by all
            ),
            causes as (
                select from_segment, to_segment, own_recency, own_frequency, own_money, moving_thresholds
                from rfm.migrations
                where definition = $definition and as_of = $as_of and previous_as_of = $before and $whole
            )
            select flows.* replace (cast(customers as bigint) as customers), causes.* exclude (from_segment, to_segment)
            from flows left join causes using (from_segment, to_segment)
            order by customers desc, from_segment, to_segment
            """,
            filters,
            whole=whole,
        )

    @staticmethod
    def _between(filters: Filters) -> str:
        """The moves between two dates; counted once for all filters."""
        traits = filters.where("", "channel", "tier", "country")
        return f"from _flows where {traits} and ($segment = '' or $segment in (from_segment, to_segment))"

    def thresholds(self, filters: Filters) -> pa.Table:
        return self.ask(
            "select measure, within, score, at_least, below, lowest, highest, customers from rfm.thresholds"
            " where definition = $definition and as_of = $as_of order by measure, within, score",
            filters,
        )

    def cohorts(self, filters: Filters) -> pa.Table:
        return self.ask(
            "select as_of, cohort_month, month_no, cohort_customers, customers, retention, purchases, revenue"
            " from rfm.cohorts where definition = $definition and as_of = ("
            " select max(as_of) from rfm.cohorts where definition = $definition and as_of <= $as_of)"
            " order by cohort_month, month_no",
            filters,
        )

    def lifetime_models(self, filters: Filters) -> pa.Table:
        return self.ask(
            "select as_of, model, published, reason, unit, customers, repeat_customers, parameters, log_likelihood,"
            " diagnostics from rfm.lifetime_models where definition = $definition and as_of = ("
            " select max(as_of) from rfm.lifetime_models where definition = $definition and as_of <= $as_of)"
            " order by model",
            filters,
        )

    def lifetimes(self, filters: Filters) -> pa.Table:
        """What customers are expected to buy, by segment, as of the newest lifetime run up to the date."""
        return self.ask(
            "select segment, count(*) as customers, round(sum(p_alive), 1) as alive,"
            " sum(expected_purchases_90d) as purchases_90d, sum(expected_value_30d) as value_30d,"
            " sum(expected_value_90d) as value_90d, sum(expected_value_365d) as value_365d"
            f" {self._lifetimes(filters)} group by segment order by value_365d desc nulls last, segment",
            filters,
        )

    def alive(self, filters: Filters) -> pa.Table:
        """Customers by probability of still being one, in twentieths."""
        return self.ask(
            "select least(floor(p_alive * 20), 19) / 20 as p_alive_from, count(*) as customers"
            f" {self._lifetimes(filters)} group by 1 order by 1",
            filters,
        )

    def lifetime_customers(self, filters: Filters, first: int | None = None) -> pa.Table:
        return self.ask(
            "select customer_id, segment, channel, tier, country,"
            " lives.* exclude (customer_id, segment, channel, tier, country, definition, as_of)"
            f" {self._lifetimes(filters)} order by expected_value_365d desc nulls last, customer_id"
            f"{_no_more_than(first)}",
            filters,
        )

    @staticmethod
    def _lifetimes(filters: Filters) -> str:
        """The lifetimes of a date; put together once for the answers of a view."""
        return f"from _lives as lives where {filters.where()}"

    def points(self, filters: Filters) -> pa.Table:
        return self.ask(
            "select reward_point_id, expires_in, sum(usable) as usable, sum(vesting) as vesting,"
            " sum(held - usable - vesting) as not_redeemable,"
            " cast(round(sum(usable) * max(value_per_point), 2) as decimal(18, 2)) as usable_worth"
            " from analysts._points"
            f" where definition = $definition and {filters.where()} group by all"
            " order by reward_point_id, expires_in nulls last",
            filters,
        )

    def tiers(self, filters: Filters) -> pa.Table:
        return self.ask(
            "select day, program_id, tier_id, level, cast(sum(cards) as bigint) as cards from analysts._tier_months"
            f" where definition = $definition and {filters.where()} group by all"
            " order by day, program_id, level, tier_id",
            filters,
        )

    def expiring(self, filters: Filters) -> pa.Table:
        """Points that go soon unless they are used, and the cards that hold them; 60 days hold the 30, 90 the 60."""
        return self.ask(
            "select reward_point_id, days, cast(sum(cards) as bigint) as cards, sum(points) as points from ("
            + " union all ".join(
                f"select *, {days} as days, cards_{days}d as cards, expiring_{days}d as points from analysts._expiring"
                for days in (30, 60, 90)
            )
            + f") where definition = $definition and {filters.where()} group by all order by reward_point_id, days",
            filters,
        )

    def outlooks(self, filters: Filters) -> pa.Table:
        """Cards by the tier they may reach or must qualify for again, and by the share of its points they lack."""
        return self.ask(
            "select program_id, tier_id, level, outlook, lacks, cast(sum(cards) as bigint) as cards,"
            " sum(missing) as missing from analysts._outlooks"
            f" where definition = $definition and {filters.where()}"
            " group by all order by level desc, tier_id, program_id, outlook, lacks",
            filters,
        )

    def liability(self) -> pa.Table:
        return self.ask(
            "select reward_point_id, month, cohort, closing, closing_value from analysts._liability"
            " order by reward_point_id, month, cohort nulls last"
        )

    def breakage(self) -> pa.Table:
        """What of each month of earning is expected to be redeemed, and how that is known."""
        return self.ask("select * from analysts._breakage order by program_id, reward_point_id, cohort")

    # ── one customer ─────────────────────────────────────────────────────────────────────────────────────────

    def scores_of(self, filters: Filters, customer: str) -> pa.Table:
        return self.ask(
            "select as_of, segment, composite, r, f, m, recency, frequency, monetary_total, monetary_average,"
            " last_purchase_on from rfm.scores"
            " where customer_id = $customer and definition = $definition and as_of <= $as_of order by as_of desc",
            filters,
            customer=customer,
        )

    def purchases_of(self, customer: str) -> pa.Table:
        columns = "business_date, transaction_id, type, channel_id, net_amount, currency, loyalty_card_id"
        return self.ask(
            f"select {columns} from customers.receipts where customer_id = $customer union all"
            f" select {columns} from customers.receipts where customer_id is null and {_CARDS}"
            " order by business_date desc, transaction_id",
            customer=customer,
        )

    def points_of(self, customer: str) -> pa.Table:
        return self.ask(
            "select entry_date, card_id, reward_point_id, entry_type, points, expires_on, transaction_id"
            f" from loyalty.entries where {_CARDS.replace('loyalty_card_id', 'card_id')}"
            " order by entry_date desc, entry_id",
            customer=customer,
        )

    def tiers_of(self, customer: str) -> pa.Table:
        return self.ask(
            "select card_id, program_id, tier_id, valid_from, valid_to, reason from loyalty.card_tiers"
            f" where {_CARDS.replace('loyalty_card_id', 'card_id')} order by card_id, program_id, valid_from desc",
            customer=customer,
        )


_CARDS = "loyalty_card_id in (select card_id from analysts._holders where customer_id = $customer)"

#: What several answers read of the dates they are about, by the filters that say which.
_OF_DATES = {"_flows": ("definition", "before", "as_of"), "_lives": ("definition", "as_of")}


def _no_more_than(rows: int | None) -> str:
    return "" if rows is None else f" limit {rows}"


_opening = threading.Lock()


@lru_cache(maxsize=2)
def _opened(home: Home, opened: Path, _written: int) -> Published:
    return Published(home, opened)


def published(home: Home) -> Published:
    """The newest publication of a home, opened once for all who look at it."""
    with _opening:
        opened = prepared.current(home)
        return _opened(home, opened, opened.stat().st_ino)

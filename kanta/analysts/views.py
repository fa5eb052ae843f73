"""The page's views: each a few sections, a section a figure, a list and a word about what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import plotly.graph_objects as go
import pyarrow as pa

from kanta.analysts import charts
from kanta.analysts.data import Filters, Published


@dataclass(frozen=True)
class Section:
    """``name`` is that of the files its list downloads as; ``list`` empty: a figure alone.

    A list of customers holds the first :data:`SHOWN` of ``rows``; ``whole`` fetches all of them for a download.
    """

    name: str
    note: str = ""
    figures: tuple[go.Figure, ...] = ()
    list: pa.Table | None = None
    rows: int | None = None
    whole: Callable[[], pa.Table] | None = None


def shown(value: Any) -> str:
    """A value in a note: text of the address or of the data is text, and no Markdown, link or tag."""
    if not isinstance(value, str):
        return str(value)
    return "".join(sign if sign.isalnum() or sign == " " else f"&#{ord(sign)};" for sign in value)


#: How many rows of a list are on the page.
SHOWN = 1000


Sections = Iterator[Section]

#: Said where the filters by customer do not apply.
OF_ALL = "Of all customers of the definition: the filters by channel, tier, country and segment do not apply here."


def overview(book: Published, at: Filters, customer: str) -> Sections:
    trend = book.trend(at)
    rows = [row for row in trend.to_pylist() if row["as_of"] == at.as_of]
    customers, purchases, revenue = (sum(row[name] for row in rows) for name in ("customers", "purchases", "revenue"))
    yield Section(
        "trend",
        f"**{customers:,}** customers · **{purchases:,}** purchases · **{revenue:,}** revenue on {at.as_of},"
        " counted over the definition's period.",
        (
            charts.trend(trend, "customers", "Customers by segment"),
            charts.trend(trend, "revenue", "Revenue by segment"),
        ),
        trend,
    )


def segments(book: Published, at: Filters, customer: str) -> Sections:
    found = book.segments(at)
    yield Section("segments", "", (charts.treemap(found),), found)
    yield Section(
        "customers", "The customers of these segments, those who bring most first.", (), book.customers(at, SHOWN),
        sum(found["customers"].to_pylist()), lambda: book.customers(at),
    )  # fmt: skip


def heat_map(book: Published, at: Filters, customer: str) -> Sections:
    found = book.grid(at)
    yield Section(
        "recency_frequency",
        "Right and up is better: bought often, bought lately.",
        (
            charts.grid(found, "customers", "Customers by recency and frequency"),
            charts.grid(found, "revenue", "Revenue by recency and frequency"),
        ),
        found,
    )


def migrations(book: Published, at: Filters, customer: str) -> Sections:
    if at.before is None:
        yield Section("migrations", "There is no earlier date to compare with.")
        return
    found = book.moves(at)
    causes = charts.causes(found)
    note = f"From {at.before} to {at.as_of}. "
    note += (
        "Each move is split into what the customers did themselves and what others did to the thresholds; the parts add"
        " up to the move."
        if causes
        else "Causes are known between two dates that follow each other, for all customers."
    )
    yield Section("migrations", note, (charts.flows(found), *([causes] if causes else [])), found)


def thresholds(book: Published, at: Filters, customer: str) -> Sections:
    found = book.thresholds(at)
    yield Section("thresholds", OF_ALL, (charts.thresholds(found),), found)


def cohorts(book: Published, at: Filters, customer: str) -> Sections:
    found = book.cohorts(at)
    if not found.num_rows:
        yield Section("cohorts", "Cohorts are kept at the end of each month; there is none yet.")
        return
    yield Section("cohorts", OF_ALL, (charts.cohorts(found),), found)


def lifetime(book: Published, at: Filters, customer: str) -> Sections:
    models = book.lifetime_models(at)
    if not models.num_rows:
        yield Section(
            "lifetime_models",
            "No lifetime value yet: a definition with `lifetime` gets it at a month's end.",
        )
        return
    said = {True: "is published with a warning", False: "is not published"}
    minded = [row for row in models.to_pylist() if row["reason"]]
    note = " ".join(f"**{shown(row['model'])} {said[row['published']]}**: {shown(row['reason'])}." for row in minded)
    found = book.lifetimes(at)
    if found.num_rows:
        yield Section("lifetime_by_segment", note, (charts.alive(book.alive(at)),), found)
        yield Section(
            "lifetime_customers", "Bounds hold with 90 % probability.", (), book.lifetime_customers(at, SHOWN),
            sum(found["customers"].to_pylist()), lambda: book.lifetime_customers(at),
        )  # fmt: skip
        note = ""
    tenths = [chart for row in models.to_pylist() if (chart := charts.deciles(row["diagnostics"]))]
    yield Section("lifetime_models", note, tuple(tenths), models)


def loyalty(book: Published, at: Filters, customer: str) -> Sections:
    points, tiers = book.points(at), book.tiers(at)
    yield Section(
        "points_outstanding",
        f"As of {book.business_date}, each kind of points by itself. Vesting points cannot be used yet; those that are"
        " not redeemable buy nothing. Worth is money by the programme's value of a point.",
        tuple(charts.points(points)),
        points,
    )
    expiring = book.expiring(at)
    yield Section(
        "expiring_soon",
        "Usable points that go unless they are used, from tomorrow on; `loyalty.expiring_soon` names the cards.",
        (charts.expiring(expiring),),
        expiring,
    )
    yield Section(
        "tiers",
        "By each card's effective tier in a program, at the end of each month and tonight.",
        (charts.tiers(tiers),),
        tiers,
    )
    outlooks = book.outlooks(at)
    yield Section(
        "tier_outlook",
        "What cards lack, of the points a tier asks for, to reach it, or to keep it when their stay ends;"
        " `loyalty.tier_outlook` names the cards.",
        (charts.outlooks(outlooks),),
        outlooks,
    )
    owed = book.liability()
    yield Section(
        "liability",
        f"{OF_ALL} Without a cohort: what cards in deficit owe.",
        tuple(charts.liability(owed)),
        owed,
    )
    yield Section(
        "breakage",
        f"{OF_ALL} What is expected to be redeemed of each month's points (IFRS 15 B46): where older months have lived"
        " through all of such a life, the share redeemed of them; else the programme's share, or all of it.",
        (),
        book.breakage(),
    )


def one_customer(book: Published, at: Filters, customer: str) -> Sections:
    if not customer:
        yield Section("customer", "Enter a customer's id above.")
        return
    scores, purchases = book.scores_of(at, customer), book.purchases_of(customer)
    if not scores.num_rows and not purchases.num_rows:
        yield Section("customer", f"There is no customer {shown(customer)} here.")
        return
    newest = scores.slice(0, 1).to_pylist()
    lines = [_digit(book, at, newest[0], measure) for measure in ("recency", "frequency", "monetary")] if newest else []
    title = f"**{shown(customer)}** has no score up to {at.as_of}: no purchase in the period."
    if newest:
        now = newest[0]
        segment, composite = shown(now["segment"]), shown(now["composite"])
        title = f"**{shown(customer)}** is in **{segment}**, composite {composite}, on {now['as_of']}."
    yield Section("scores", "\n\n".join([title, *lines]), (), scores)
    yield from _contacts(book, customer)
    yield Section("purchases", "", (charts.story(purchases),), purchases)
    yield Section("points", "Each posting; `kanta explain entry` says why.", (), book.points_of(customer))
    yield Section("tiers", "", (), book.tiers_of(customer))


def _digit(book: Published, at: Filters, score: dict[str, Any], measure: str) -> str:
    """Why one digit is what it is, from the thresholds of that date."""
    letter = measure[0]
    rows = book.ask(
        "select within, at_least, below, lowest, highest, customers from rfm.thresholds where definition = $definition"
        " and as_of = $day and measure = $measure and score = $score and $value between lowest and highest"
        " order by case when $group like within || '%' then 0 else 1 end, within limit 1",
        at,
        day=score["as_of"],
        measure=measure,
        score=score[letter],
        value=score[{"monetary": "monetary_total"}.get(measure, measure)],
        group=f"R{score['r']} F{score['f']} M{score['m']}",
    ).to_pylist()
    value = score[{"monetary": "monetary_total"}.get(measure, measure)]
    what = {
        "recency": f"last purchase {value} before (on {score['last_purchase_on']})",
        "frequency": f"{value} purchases",
        "monetary": f"{value} in all",
    }[measure]
    text = f"* **{letter.upper()} {score[letter]}**: {what}"
    if rows:
        row = rows[0]
        among = f" of those in {shown(row['within'])}" if row["within"] else ""
        text += f"; {row['customers']:,} customers{among} with {row['lowest']} to {row['highest']} have this score"
        if row["at_least"] is not None or row["below"] is not None:
            text += f" (cuts: from {row['at_least'] or 'the lowest'} to below {row['below'] or 'no end'})"
    return text + "."


def _contacts(book: Published, customer: str) -> Sections:
    """Contacts of the customer master, masked unless settings allow."""
    found = book.ask(
        "select kind, value, is_primary, is_valid, consent from customers.contacts where account = $customer"
        " and (valid_to is null or valid_to > $day) order by kind, contact_no",
        customer=customer,
        day=book.business_date,
    ).to_pylist()
    rows = [{**row, "value": row["value"] if book.personal else masked(row["value"])} for row in found]
    if rows:
        note = "" if book.personal else "Masked: `analysts_see_personal_data` in settings.yaml is off."
        yield Section("contacts", note, (), pa.Table.from_pylist(rows))


def masked(value: str | None) -> str:
    """An address or number of which one can see what it is, not whose: ``a…@e….fi``, ``…34``."""
    if not value:
        return ""
    name, at, host = value.partition("@")
    return f"{name[:1]}…@{host[:1]}….{host.rpartition('.')[2]}" if at else f"…{value[-2:]}"


#: The views by the name that stands in a link, with their title.
VIEWS: dict[str, tuple[str, Callable[[Published, Filters, str], Sections]]] = {
    "overview": ("Overview", overview),
    "segments": ("Segments", segments),
    "heat_map": ("Recency × frequency", heat_map),
    "migrations": ("Migrations", migrations),
    "thresholds": ("Thresholds", thresholds),
    "customer": ("One customer", one_customer),
    "cohorts": ("Cohorts", cohorts),
    "lifetime": ("Lifetime value", lifetime),
    "loyalty": ("Points and tiers", loyalty),
}

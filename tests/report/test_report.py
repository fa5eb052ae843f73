"""The page of a night: its figures are the lake's, and whatever the data holds it stays a page of text."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kanta import report
from kanta.contracts import contract_of
from kanta.errors import BadArguments, KantaError
from kanta.reading import open_lake
from kanta.report import drops, showing, stores, tiers
from kanta.report import points as roll_forward
from kanta.report.orders import HeldBy, Suspected
from tests.report.conftest import (
    BEFORE,
    NIGHT,
    Books,
    check,
    drop,
    entry,
    package,
    refused,
    run,
    score,
    segment,
    stay,
    step,
)


def points(found: report.Report) -> dict[str, roll_forward.Points]:
    return {item.reward_point_id: item for item in found.points}


# ── figures ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_night_rolls_forward_from_the_closing_of_the_night_before(found: report.Report) -> None:
    rolled = points(found)["points"].night
    moved = {name: str(amount) for name, amount in rolled.movements.items() if amount}
    assert (rolled.opening, moved, rolled.closing) == (
        Decimal(470),
        {
            "earned": "100.00", "returned": "-34.00", "refunded": "5.00", "adjusted": "-1.00", "expired": "-7.00",
            "written off": "1.00", "corrections": "2.00",
        },
        Decimal(536),
    )  # fmt: skip


def test_the_month_rolls_forward_from_the_end_of_the_month_before(found: report.Report) -> None:
    rolled = points(found)["points"].month
    assert (rolled.opening, rolled.movements["earned"], rolled.movements["redeemed"]) == (500, 150, -80)
    assert rolled.ties


def test_every_closing_is_the_sum_of_the_entries_and_of_the_balances_of_the_lake(
    two_nights: Books, found: report.Report
) -> None:
    engine, _ = open_lake(two_nights.home, ["loyalty.entries", "loyalty.balances"])
    with engine:
        entries = dict(engine.rows("select reward_point_id, sum(points) from loyalty.entries group by 1"))
        balances = dict(
            engine.rows("select reward_point_id, sum(available + unvested) from loyalty.balances group by 1")
        )
    closings = {name: item.night.closing for name, item in points(found).items()}
    assert closings == entries == balances
    assert len(closings) == 2
    assert all(item.ties for item in found.points), found.points


def test_points_that_do_not_tie_are_the_first_thing_said(found: report.Report) -> None:
    item = found.points[0]
    broken = replace(found, points=[replace(item, held=replace(item.held, balance=item.held.balance + 1))])
    assert broken.findings[0].text == "The points do not tie: club cash."
    assert "Does not tie" in report.html(broken)
    assert "Does not tie" not in report.html(found)


KINDS = sorted({kind for kinds in roll_forward.MOVEMENTS.values() for kind in kinds})
DAYS = st.dates(date(2026, 10, 1), NIGHT)
POSTED = st.tuples(st.sampled_from(KINDS), DAYS, st.decimals(-1000, 1000, places=2), st.just(1))


@given(st.lists(POSTED), DAYS)
def test_any_entries_roll_forward_to_their_sum_wherever_the_period_begins(
    posted: list[tuple[str, date, Decimal, int]], before: date
) -> None:
    rolled = roll_forward.roll(posted, before)
    assert rolled.ties
    assert rolled.closing == sum(amount for _, _, amount, _ in posted)


def test_a_kind_of_entry_that_no_line_knows_breaks_the_tie() -> None:
    assert not roll_forward.roll([("gift", NIGHT, Decimal(1), 1)], BEFORE).ties


def test_the_chart_ends_with_what_is_outstanding(found: report.Report) -> None:
    for item in found.points:
        assert len(item.outstanding) == roll_forward.CHART_DAYS
        assert item.outstanding[-1] == item.night.closing


def test_what_the_night_took_is_counted_by_feed_and_what_it_had_taken_before_is_not(found: report.Report) -> None:
    pos = drops.FeedDrops("pos", 3, refused_drops=1, late=1, expected=89, accepted=75, refused=12, repeated=2)
    hq = drops.FeedDrops("hq", 1, refused_drops=0, late=0, expected=10, accepted=10, refused=0, repeated=0)
    assert found.drops == [pos, hq]
    assert found.late == [drops.Drop(f"pos/{BEFORE}/S003", 1, 20)]


def test_only_store_days_that_settings_expect_are_missing(found: report.Report) -> None:
    assert found.missing == [("S009", NIGHT)]


def test_quarantine_is_counted_by_rule_and_rows_that_only_keep_company_come_last(found: report.Report) -> None:
    assert [(rule.rule, rule.tonight, rule.open) for rule in found.refused_by] == [
        ("type:quantity", 1, 2),
        ("truncated", 1, 1),
        ("companion", 1, 1),
    ]
    assert [(row.quarantine_id, row.place) for row in found.refused] == [
        ("q3", "lines.csv:2"),
        ("q4", "lines.csv"),
        ("q2", "lines.csv:3"),
        ("q1", "lines.csv:2"),
    ]


def test_the_nights_days_of_stores_are_counted_and_those_to_look_at_shown_the_worst_first(found: report.Report) -> None:
    assert found.stores.by_verdict == {"absent": 1, "complete": 1, "differs": 1, "incomplete": 1}
    assert [(day.store_id, day.verdict, day.missing, day.numbers) for day in found.stores.odd] == [
        ("S001", "incomplete", 52, "R1:2-51, R2:7, R3:9"), ("S009", "absent", 0, ""), ("S002", "differs", 0, ""),
    ]  # fmt: skip
    texts = [(finding.level, finding.text) for finding in found.findings]
    assert ("warning", f"1 store-day incomplete, such as S001 on {NIGHT}.") in texts
    assert ("note", "1 store-day with receipts that do not add up.") in texts
    assert "−7.00" in report.html(found)


def test_a_night_of_which_every_day_is_whole_says_so(found: report.Report) -> None:
    whole = replace(found, stores=stores.StoreDays({"complete": 2, "closed": 1}, []))
    assert "Every day is whole." in report.html(whole)
    assert not [finding for finding in whole.findings if finding.section == "stores"]


def test_no_row_as_it_came_and_no_record_key_is_on_the_page(found: report.Report) -> None:
    assert "SECRET" not in report.html(found)


def test_tiers_are_those_of_the_night_and_of_the_opening_day(found: report.Report) -> None:
    assert found.programs == [
        tiers.Program("club", [tiers.Tier("gold", 2, 2), tiers.Tier("basic", 1, 2)], up=1, down=1, joined=1)
    ]


def test_segments_come_best_first_with_customers_by_recency_and_frequency(found: report.Report) -> None:
    (analysis,) = found.analyses
    assert [(found.name, found.customers) for found in analysis.segments] == [("Champions", 2), ("Lost", 1), ("New", 0)]
    assert analysis.grid == {(5, 5): 2, (1, 1): 1}


def test_why_lifetime_value_is_not_published_is_on_the_page(own_nights: Books) -> None:
    day = NIGHT + timedelta(days=1)
    of = {"definition": "retail", "as_of": day, "unit": "week", "customers": 9, "repeat_customers": 9}
    own_nights.night(day, {
        "rfm.segments": [segment("New", 1, "1", "1.00", day=day)],
        "rfm.lifetime_models": [
            {**of, "model": "bg_nbd", "published": False, "reason": "the fit stands at the bound of a"},
            {**of, "model": "gamma_gamma", "published": True, "reason": None},
        ],
    })  # fmt: skip
    found = report.of_night(own_nights.home)
    (analysis,) = found.analyses
    assert [(each.model, each.published) for each in analysis.lifetimes] == [("bg_nbd", False)]
    assert "bg_nbd is not published: the fit stands at the bound of a." in report.html(found)


def test_packages_show_the_newest_session_failed_ones_first_and_what_the_store_applied(found: report.Report) -> None:
    sessions = [(s.database, s.sequence, s.state, s.applied) for s in found.sessions]
    assert sessions == [("DB2", 1, "apply_failed", None), ("DB1", 2, "available", BEFORE)]


def test_answers_of_stores_that_are_not_believed_are_told_in_a_line(own_nights: Books) -> None:
    answer = dict.fromkeys(contract_of("distribution.acknowledgements").names) | {"job": "1050", "posted_date": NIGHT}
    answers = [
        answer | {"database": "DB1", "sequence": sequence, "file_sha256": str(sequence), "disbelief": why, "seq": 9}
        for sequence, why in ((0, "name"), (1, None), (2, "hash"))
    ]
    own_nights.night(NIGHT, {"distribution.acknowledgements": answers})
    texts = [finding.text for finding in report.of_night(own_nights.home).findings]
    assert "2 answers of stores not believed: DB1 (hash), DB1 (name)." in texts


def test_stages_are_in_the_order_they_ran(found: report.Report) -> None:
    assert [stage.name for stage in found.stages] == ["ingest_pos", "loyalty"]


def test_what_needs_a_look_comes_gravest_first(found: report.Report) -> None:
    levels = [finding.level for finding in found.findings]
    assert levels == sorted(levels, key=["critical", "warning", "note"].index)
    assert set(levels) == {"critical", "warning", "note"}


# ── which night ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_earlier_night_is_shown_as_the_lake_stood_after_it(two_nights: Books) -> None:
    found = report.of_night(two_nights.home, BEFORE)
    assert (found.number, found.previous, points(found)["points"].night.closing) == (1, None, 470)
    assert [rule.open for rule in found.refused_by] == [1]
    assert [(s.database, s.sequence, s.state) for s in found.sessions] == [("DB1", 1, "applied")]


def test_a_date_within_a_longer_run_names_the_night_that_took_it_in(two_nights: Books) -> None:
    with pytest.raises(BadArguments, match=r"No night ended with 2026-11-18") as caught:
        report.of_night(two_nights.home, BEFORE - timedelta(days=1))
    assert "--date 2026-11-19" in caught.value.next_step


def test_a_home_without_nights_says_what_to_run(books: Books) -> None:
    with pytest.raises(KantaError, match="No night was run here yet"):
        report.write(books.home)


def test_a_night_that_failed_its_checks_has_a_page_and_the_published_one_points_to_it(own_nights: Books) -> None:
    failed = NIGHT + timedelta(days=1)
    own_nights.night(failed, {"ops.checks": [check(failed, "keys", "critical", success=False)]}, publish=False)
    (finding, *_) = report.of_night(own_nights.home).findings
    assert (finding.level, finding.command) == ("critical", f"kanta report --date {failed}")
    found = report.of_night(own_nights.home, failed)
    assert found.number == 0
    assert [finding.text for finding in found.findings][:2] == [
        "This night is not published: readers see the night before it.",
        "1 critical check failed.",
    ]
    assert "Not published" in report.html(found)


def test_changes_of_the_same_night_that_are_not_published_are_said(own_nights: Books) -> None:
    own_nights.night(NIGHT, {"ops.checks": [check(NIGHT, "keys", "critical", success=False)]}, publish=False)
    found = report.of_night(own_nights.home)
    texts = [finding.text for finding in found.findings]
    assert "The lake holds changes that are not published: ops.checks." in texts
    assert not [check for check in found.checks.failed if check.severity == "critical"]


def test_a_night_after_one_that_failed_also_counts_what_that_one_took(own_nights: Books) -> None:
    failed, good = NIGHT + timedelta(days=1), NIGHT + timedelta(days=2)
    seq = own_nights.night(
        failed,
        {
            "ops.checks": [check(failed, "keys", "critical", success=False)],
            "ops.drops": [drop(failed, "S001", stated=7, taken=7)],
        },
        publish=False,
    )
    own_nights.night(failed, {"ops.runs": [run(failed, "loyalty", "1", seq)]}, publish=False)
    own_nights.night(good, {"ops.drops": [drop(good, "S001", stated=5, taken=5)]})
    found = report.of_night(own_nights.home)
    assert (found.night, found.previous) == (good, NIGHT)
    assert [(feed.drops, feed.accepted) for feed in found.drops] == [(2, 12)]


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_night_without_a_single_row_has_a_page(books: Books) -> None:
    books.night(NIGHT, {})
    page = report.html(report.of_night(books.home))
    for said in ("No drop came.", "No points were ever posted.", "No card has a tier.", "No package was made yet."):
        assert said in page


class Page(HTMLParser):
    """What a browser would make of a page: its elements, their attributes, its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


HOSTILE = ('<script>alert("1")</script>', "=cmd|' /C calc'!A0", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}")


@pytest.fixture(params=HOSTILE)
def hostile(request: pytest.FixtureRequest, books: Books) -> tuple[str, report.Report]:
    """A night in which every name that somebody else may choose is hostile."""
    name = request.param
    books.night(
        NIGHT,
        {
            "ops.drops": [drop(NIGHT, name, stated=9, taken=9), drop(BEFORE, name, feed=name, stated=1, taken=1)],
            "ops.quarantine": [
                refused(1, NIGHT, name, name)
                | {"quarantine_id": name, "drop_id": name, "file": name, "reason": name, "line": 7}
            ],
            "ops.checks": [check(NIGHT, name, success=False) | {"table_name": name, "observed": name}],
            "ops.runs": [run(NIGHT, name, "1", 1)],
            "loyalty.entries": [entry(name, "earn", "5", NIGHT, name) | {"program_id": name}],
            "loyalty.exceptions": [{"transaction_id": name, "card_id": name, "reason": name, "business_date": NIGHT}],
            "loyalty.card_tiers": [stay(name, name, 1, NIGHT) | {"program_id": name}],
            "rfm.scores": [score(name, 5, 5, 5, name) | {"definition": name}],
            "rfm.segments": [segment(name, 1, "1", "5") | {"definition": name}],
            "distribution.sessions": [step(name, 1, 1, "apply_failed", NIGHT, name)],
            "distribution.packages": [package(name, 1, NIGHT)],
        },
    )
    return name, report.of_night(books.home)


def test_hostile_names_are_shown_as_text_and_make_no_element(
    hostile: tuple[str, report.Report], found: report.Report
) -> None:
    name, of_hostile_night = hostile
    page = Page(report.html(of_hostile_night))
    assert page.text.count(name) >= 15
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in Page(report.html(found)).elements}
    assert not [attributes for _, attributes in page.elements if any(key.startswith("on") for key in attributes)]


def test_the_page_loads_nothing_and_forbids_itself_to(found: report.Report) -> None:
    text = report.html(found)
    page = Page(text)
    assert (
        "meta",
        {"http-equiv": "Content-Security-Policy", "content": "default-src 'none'; style-src 'unsafe-inline'"},
    ) in page.elements
    assert not re.search(r"https?://|url\(|@import|src=", text)
    assert all(str(attributes["href"]).startswith("#") for tag, attributes in page.elements if tag == "a")


def test_every_link_leads_to_a_section(found: report.Report) -> None:
    page = Page(report.html(found))
    links = {str(attributes["href"])[1:] for tag, attributes in page.elements if tag == "a"}
    sections = {attributes["id"] for tag, attributes in page.elements if tag == "section"}
    assert links
    assert links <= sections, links - sections


def test_the_same_lake_gives_the_same_page(two_nights: Books) -> None:
    first = report.write(two_nights.home).read_bytes()
    assert report.write(two_nights.home, NIGHT).read_bytes() == first
    assert report.html(report.of_night(two_nights.home, NIGHT)).encode() == first


def test_the_page_goes_where_asked_else_into_the_reports_of_the_home(two_nights: Books) -> None:
    place = report.write(two_nights.home)
    assert place == two_nights.home.reports / f"{NIGHT}.html"
    other = two_nights.home.root / "elsewhere" / "page.html"
    assert report.write(two_nights.home, output=other) == other
    assert other.read_bytes() == place.read_bytes()
    assert sorted(path.name for path in place.parent.iterdir()) == [place.name]


@pytest.mark.parametrize(
    ("amount", "shown"), [("0", "0"), ("-1234.5", "−1,234.50"), ("1000000", "1,000,000"), ("0.05", "0.05")]
)
def test_amounts_are_shown_in_full(amount: str, shown: str) -> None:
    value = Decimal(amount)
    assert showing.points(value, 2 if value % 1 else 0) == shown


def test_the_call_center_shows_holds_by_age_fraud_by_reason_and_who_has_not_paid(own_nights: Books) -> None:
    night = NIGHT + timedelta(days=1)
    order = {"call_center_id": "CC", "currency": "USD", "paid": Decimal(5), "due": Decimal(15), "drop_id": "d"}
    order |= {"total_amount": Decimal(20), "business_date": night, "may_process": False, "do_not_process": True}
    states = [("O1", "submitted", "under"), ("O2", "open", "paid"), ("O3", "invoiced", "under")]
    held = {"hold_code": "FRAUD", "event": "hold", "user": "ann", "applied": True, "drop_id": "d"}
    days = [("O1", night - timedelta(7)), ("O2", night - timedelta(2)), ("O3", night - timedelta(30))]
    match = {"order_id": "O1", "checked_on": night, "score": 60}
    own_nights.night(
        night,
        {
            "call_center.order_status": [
                {**order, "order_id": order_id, "status": status, "payment_status": payment}
                for order_id, status, payment in states
            ],
            "call_center.hold_events": [
                {**held, "order_id": order_id, "event_date": day, "at": datetime.combine(day, time(), UTC)}
                for order_id, day in days
            ],
            "call_center.fraud_checks": [{**match, "held": True}],
            "call_center.fraud_matches": [
                {**match, "area": "order", "type": "rule", "rule": "big_new", "score": 40},
                {**match, "area": "billing", "type": "email", "rule": "static", "score": 20},
            ],
        },
    )
    found = report.of_night(own_nights.home)
    assert (found.orders.open, found.orders.ready) == (2, 0)
    assert found.orders.held == [HeldBy("FRAUD", new=1, days=0, old=1, longest=7)]
    assert found.orders.suspected == [Suspected("big_new", 1, 1, 40), Suspected("email", 1, 1, 20)]
    assert [order.order_id for order in found.orders.under_paid] == ["O1"]
    assert "1 order held for a week or longer." in [finding.text for finding in found.findings]
    page = report.html(found)
    assert page.count('id="orders"') == 1
    assert '<th scope="row">big_new</th>' in page


def test_customers_show_how_many_wait_for_an_account_and_since_when(own_nights: Books) -> None:
    night, first = NIGHT + timedelta(days=1), NIGHT - timedelta(days=6)
    version = {"recorded_on": night, "valid_from": first, "valid_to": date(9999, 12, 31), "whole_seq": 0}
    operation = {"recorded_on": night, "mode": "async", "status": "pending", "operation": "create", "drop_id": "d"}
    own_nights.night(
        night,
        {
            "customers.customer_versions": [
                {**version, "account": account, "status": status}
                for account, status in (
                    ("C1", "synced"),
                    ("guid-2", "pending"),
                    ("guid-3", "pending"),
                    ("C4", "erased"),
                )
            ],
            "customers.operation_versions": [
                {
                    **operation,
                    "operation_id": f"o{day}",
                    "owner": guid,
                    "operated_at": datetime.combine(day, time(), UTC),
                }
                for guid, day in (("guid-2", first + timedelta(days=2)), ("guid-3", first))
            ],
        },
    )
    found = report.of_night(own_nights.home)
    assert (found.customers.synced, found.customers.waiting, found.customers.erased) == (1, 2, 1)
    assert found.customers.since == first
    assert "<b>2</b> made offline and waiting since Sat 14 Nov" in report.html(found)

"""The analysts' page in a real browser: every chart draws, every filter filters, every download opens."""

from __future__ import annotations

import html
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import urlopen

import pyarrow as pa
import pytest

from kanta import reading
from kanta.analysts import TOKEN, charts, data, prepared
from kanta.analysts.data import Filters
from kanta.analysts.views import VIEWS, shown
from kanta.home import REPOSITORY, Home
from kanta.lake import Lake
from tests.analysts.conftest import CHANNELS, NIGHT, facts

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SECRET = "the-token-of-this-test"  # noqa: S105
PATIENCE = 60_000  # milliseconds, for a machine that is busy with other tests
CHARTS = {
    "overview": 2, "segments": 1, "heat_map": 2, "migrations": 2, "thresholds": 1, "customer": 1, "cohorts": 1,
    "lifetime": 2, "loyalty": 5,
}  # fmt: skip


@pytest.fixture(scope="module")
def url(home: Home) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [sys.executable, "-m", "kanta", "analysts", "--port", str(port), "--no-browser"],
        env=os.environ | {"KANTA_HOME": str(home.root), "PYTHONPATH": str(REPOSITORY), TOKEN: SECRET},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        for _ in range(240):
            try:
                urlopen(f"{address}/health")  # noqa: S310
                break
            except URLError:
                assert server.poll() is None, "the server ended"
                time.sleep(0.25)
        yield address
    finally:
        os.killpg(server.pid, 15)
        server.wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not CHROMIUM:
        pytest.skip("Chromium is not on this machine, so the analysts' page was NOT tested in a browser")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def drawn(page: Any, charts: int) -> None:
    """Waits until so many charts stand on the page, each with something in it."""
    page.wait_for_function(
        """charts => {
            const found = [];
            const look = root => root.querySelectorAll("*").forEach(element => {
                if (element.classList.contains("js-plotly-plot")) found.push(element);
                if (element.shadowRoot) look(element.shadowRoot);
            });
            look(document);
            const marks = ".point, .slice, .heatmaplayer image, .scatterlayer .trace path";
            return found.length === charts && found.every(plot => plot.querySelector(marks));
        }""",
        arg=charts,
        timeout=PATIENCE,
    )


def listed(page: Any, rows: int) -> None:
    """Waits until a list of so many rows is on the page."""
    page.get_by_text(re.compile(f"^{rows:,} rows$")).first.wait_for(timeout=PATIENCE)


def test_nobody_waits_for_a_newer_publication_while_an_earlier_one_can_be_shown(home: Home, tmp_path: Path) -> None:
    shutil.copytree(home.root, tmp_path / "home")
    mine = Home(tmp_path / "home")
    first = data.published(mine)  # a home that was brought elsewhere: what it shows is of here
    views = first.engine.rows("select sql from duckdb_views() where sql like '%read_parquet%'")
    assert views
    assert [sql for (sql,) in views if f"'{mine.lake}/" not in sql] == []
    lake = Lake(mine)
    with lake.writing():
        lake.publish(NIGHT)
    others = set(threading.enumerate())
    assert data.published(mine) is first
    for thread in set(threading.enumerate()) - others:
        thread.join()
    second = data.published(mine)
    assert second is not first
    assert second.engine.value("select number from main.publication") == lake.published().number
    assert second.trend(Filters("retail", NIGHT)).equals(first.trend(Filters("retail", NIGHT)))
    assert not list(mine.lake.glob(".page.part*"))


def test_a_file_of_a_dropped_publication_or_of_a_writer_that_died_is_made_anew(home: Home, tmp_path: Path) -> None:
    shutil.copytree(home.root, tmp_path / "home")
    mine = Home(tmp_path / "home")
    prepared.refresh(mine)
    lake, known = Lake(mine), [mine.lake / "published" / path.name for path in Lake(mine).publications()]
    with lake.writing():
        lake.publish(NIGHT)
    for path in known:
        path.unlink()
    died = (
        "import duckdb, os, shutil, sys\nshutil.copyfile(*sys.argv[1:])\n"
        "con = duckdb.connect(sys.argv[2])\ncon.execute('create table half as select 1')\nos._exit(1)"
    )
    part = str(mine.lake / ".page.part.duckdb")
    subprocess.run([sys.executable, "-c", died, str(mine.lake / "analysts.duckdb"), part], check=False)
    assert Path(f"{part}.wal").exists()
    shown = data.Published(mine, prepared.current(mine))
    assert shown.engine.value("select number from main.publication") == lake.published().number


def test_of_a_home_that_cannot_be_written_it_is_made_once_elsewhere(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(_: Home) -> Path:
        raise PermissionError("page.duckdb")

    monkeypatch.setattr(prepared, "refresh", refuse)
    monkeypatch.setattr(prepared, "shown_by", lambda _: None)
    monkeypatch.setattr(prepared.tempfile, "tempdir", str(tmp_path))
    written = prepared.current(home)
    assert written.is_relative_to(tmp_path)
    assert prepared.current(home) == written
    assert data.Published(home, written).definitions() == ["retail"]


def test_what_is_there_for_this_publication_is_not_made_again(home: Home) -> None:
    data.published(home)
    written = (home.lake / "page.duckdb").stat().st_ino
    assert prepared.refresh(home).stat().st_ino == written


@pytest.mark.slow
def test_every_chart_draws_every_filter_filters_every_download_opens(url: str, browser: Any, home: Home) -> None:
    import duckdb
    import openpyxl
    import pyarrow.parquet as pq

    book = data.published(home)
    whole = Filters("retail", NIGHT, book.dates("retail")[1])
    (customer, *_) = book.customers(whole)["customer_id"].to_pylist()
    page = browser.new_page(viewport={"width": 1300, "height": 950}, accept_downloads=True)
    elsewhere: list[str] = []
    page.on("response", lambda answer: elsewhere.append(answer.url) if url not in answer.url else None)

    # Every view; KANTA_SCREENSHOTS names a folder to keep pictures in.
    pictures = os.environ.get("KANTA_SCREENSHOTS")
    page.goto(f"{url}/?access_token={SECRET}&view=customer&customer={customer}")  # a link that names a customer
    for view in sorted(CHARTS, key=lambda view: view != "customer"):
        page.get_by_text(VIEWS[view][0], exact=True).first.click(timeout=PATIENCE)
        page.wait_for_url(f"**view={view}*", timeout=PATIENCE)
        drawn(page, CHARTS[view])
        if pictures:
            page.wait_for_timeout(800)
            page.screenshot(path=Path(pictures) / f"{view}.png")

    # Every filter: chosen on the page, it is in the address and in the list; the address alone restores it.
    page.get_by_text("Segments", exact=True).first.click()
    everybody = book.customers(whole).num_rows
    listed(page, everybody)
    for trait, value in {"channel": "S3", "tier": "gold", "country": "SE", "segment": "Loyal"}.items():
        some = book.customers(Filters("retail", NIGHT, None, **{trait: value})).num_rows
        assert 0 < some < everybody, trait
        page.get_by_label(trait, exact=True).select_option(label=value)
        page.wait_for_url(f"**{trait}={value}*", timeout=PATIENCE)
        listed(page, some)
        if trait != "segment":
            page.get_by_label(trait, exact=True).select_option(label="all")
            listed(page, everybody)
    page.goto(page.url)
    listed(page, some)

    # Every download of a list holds the filtered list.
    expected = book.customers(Filters("retail", NIGHT, None, segment="Loyal")).num_rows
    for form in ("csv", "xlsx", "parquet"):
        with page.expect_download(timeout=PATIENCE) as waiting:
            page.get_by_text(f"customers.{form}", exact=True).click()
        content = Path(waiting.value.path()).read_bytes()
        if form == "csv":
            rows = duckdb.read_csv(io.BytesIO(content)).fetchall()
        elif form == "xlsx":
            rows = list(openpyxl.load_workbook(io.BytesIO(content), read_only=True).active.iter_rows())[1:]
        else:
            rows = pq.read_table(io.BytesIO(content)).to_pylist()
        assert len(rows) == expected, form
    assert elsewhere == [], "the page fetched from elsewhere"


HOSTILE = "<script src=\"data:text/javascript,document.title='ran'\"></script><img src=x onerror=document.title='ran'>"


@pytest.mark.slow
def test_text_of_the_address_is_text_and_runs_nothing(url: str, browser: Any) -> None:
    page = browser.new_context().new_page()
    elsewhere: list[str] = []
    page.on("request", lambda asked: elsewhere.append(asked.url) if not asked.url.startswith((url, "blob:")) else None)
    asked = urlencode({"access_token": SECRET, "view": "customer", "customer": HOSTILE})
    page.goto(f"{url}/?{asked}")
    page.get_by_text(f"There is no customer {HOSTILE} here.").first.wait_for(timeout=PATIENCE)
    assert page.title() == "Kanta for analysts"
    assert SECRET not in page.url
    for script in ("document.title = 'ran'", "fetch('http://evil.example/')"):
        assert page.evaluate(  # what would run if markup came through all the same
            "script => new Promise(told => { document.addEventListener('securitypolicyviolation', () => told(true));"
            " const made = document.createElement('script'); made.textContent = script; document.body.append(made);"
            " setTimeout(() => told(false), 3000); })",
            script,
        )
    assert page.title() == "Kanta for analysts"
    assert [each for each in elsewhere if not each.startswith("data:image")] == []


def test_text_of_the_data_is_text_in_notes_and_figures() -> None:
    for hostile in (HOSTILE, "[x](javascript:alert(1))", "**bold** `code` $x$", "a\n\n# head", "www.evil.example"):
        assert set(shown(hostile)) <= set("&#;0123456789 ") | {sign for sign in hostile if sign.isalnum()}
        assert html.unescape(shown(hostile)) == hostile
        named = {"as_of": [NIGHT], "segment": [hostile], "customers": [3], "revenue_each": [1], "revenue": [1]}
        table = pa.table(named | {"percent": [1], "reward_point_id": [hostile], "cohort": [NIGHT], "month": [NIGHT]})
        closing = table.append_column("closing", [[1]])
        moved = pa.table({"from_segment": [hostile], "to_segment": [hostile], "customers": [3]})
        drawn_ = [charts.trend(table, "customers", ""), charts.treemap(table), charts.flows(moved)]
        for figure in [*drawn_, *charts.liability(closing)]:
            assert "<script" not in figure.to_json()
            assert "<img" not in figure.to_json()


def test_the_browser_test_knows_every_view() -> None:
    assert CHARTS.keys() == VIEWS.keys()
    assert len(CHANNELS) == 3


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_says_something_of_everybody_of_some_and_of_nobody(view: str, home: Home) -> None:
    book = data.published(home)
    first, second = book.dates("retail")[:2]
    (customer, *_) = book.customers(Filters("retail", NIGHT))["customer_id"].to_pylist()
    _, show = VIEWS[view]
    figures = [
        figure for section in show(book, Filters("retail", first, second), customer) for figure in section.figures
    ]
    assert len(figures) == CHARTS[view]
    for at in (
        Filters("retail", first, second, channel="S1", tier="gold", country="FI"),
        Filters("retail", first, None, segment="nobody is here"),
    ):
        for section in show(book, at, "nobody"):
            for figure in section.figures:
                assert "NaN" not in figure.to_json()


def test_what_lies_ahead_is_what_its_tables_say(home: Home) -> None:
    book = data.published(home)
    at = Filters("retail", NIGHT)
    with reading.open_published(
        home, "loyalty.expiring_soon", "loyalty.tier_outlook", "loyalty.liability", "loyalty.balances"
    ).engine as lake:
        ((in_30, in_90, cards),) = lake.rows(
            "select sum(expiring_30d), sum(expiring_90d), count(*) filter (where expiring_90d > 0)"
            " from loyalty.expiring_soon"
        )
        outlooks = lake.rows("select outlook, tier_id, count(*) from loyalty.tier_outlook group by all order by all")
        ((owed,),) = lake.rows("select sum(available + unvested - deficit) from loyalty.balances")
    shown = {row["days"]: row for row in book.expiring(at).to_pylist()}
    assert 0 < shown[30]["points"] == in_30 < shown[90]["points"] == in_90
    assert shown[90]["cards"] == cards
    totals = Counter[tuple[str, str]]()
    for row in book.outlooks(at).to_pylist():
        totals[row["outlook"], row["tier_id"]] += row["cards"]
    assert {("keep", "gold"), ("reach", "gold")} <= totals.keys()
    assert [(*key, cards) for key, cards in sorted(totals.items())] == outlooks
    assert sum(row["usable"] + row["vesting"] for row in book.points(at).to_pylist()) == owed
    assert sum(row["closing"] for row in book.liability().to_pylist() if row["month"] == NIGHT.replace(day=1)) == owed
    for trait in ({"tier": "gold"}, {"channel": "S3"}, {"segment": "Champions"}):
        some = Filters("retail", NIGHT, None, **trait)
        assert 0 < sum(row["cards"] for row in book.outlooks(some).to_pylist()) < sum(totals.values())
        assert 0 < book.expiring(some).to_pylist()[-1]["cards"] < cards


def test_migrations_on_the_page_are_those_of_the_table(home: Home) -> None:
    book = data.published(home)
    first, second = book.dates("retail")[:2]
    found = book.moves(Filters("retail", first, second)).to_pylist()
    kept = book.ask(
        "select from_segment, to_segment, customers, own_recency from rfm.migrations where as_of = $day", day=first
    ).to_pylist()
    assert {(r["from_segment"], r["to_segment"]): (r["customers"], r["own_recency"]) for r in found} == {
        (r["from_segment"], r["to_segment"]): (r["customers"], r["own_recency"]) for r in kept
    }
    some = book.moves(Filters("retail", first, second, channel="S1")).to_pylist()
    assert 0 < sum(row["customers"] for row in some) < sum(row["customers"] for row in found)
    assert {row["own_recency"] for row in some} == {None}, "causes are of all customers only"


def test_one_who_asks_for_other_dates_meanwhile_changes_nobodys_answer(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = data.Published(home, prepared.current(home))
    newest, before, *_ = book.dates("retail")
    mine, others = data.Filters("retail", newest, before), data.Filters("retail", before, newest)
    alone = [book.moves(asked).to_pylist() for asked in (mine, others)]
    there, back = ({(r["from_segment"], r["to_segment"]): r["customers"] for r in rows} for rows in alone)
    assert there == {(to, was): customers for (was, to), customers in back.items()} != back
    between = book._between

    def and_another_asks(filters: data.Filters) -> str:
        said = between(filters)
        with monkeypatch.context() as patch:
            patch.setattr(book, "_between", between)
            assert book.moves(others).to_pylist() == alone[1]
        return said

    monkeypatch.setattr(book, "_between", and_another_asks)
    assert book.moves(mine).to_pylist() == alone[0]


def test_a_customer_is_told_why_each_digit(home: Home) -> None:
    book = data.published(home)
    at = Filters("retail", NIGHT)
    (best, *_) = book.customers(at).to_pylist()
    (section, *_) = VIEWS["customer"][1](book, at, best["customer_id"])
    for measure in "rfm":
        assert f"**{measure.upper()} {best[measure]}**" in section.note, section.note
    assert str(best["monetary_total"]) in section.note


def test_a_customer_is_shown_each_receipt_also_those_that_name_only_the_card(home: Home) -> None:
    book = data.published(home)
    of: dict[str, set[str]] = defaultdict(set)
    for sale in facts()["sales.transactions"]:
        of["K" + sale["loyalty_card_id"][1:]].add(sale["transaction_id"])
    for customer in ("K0010", "K0011"):
        assert set(book.purchases_of(customer)["transaction_id"].to_pylist()) == of[customer] != set()
    assert book.purchases_of("nobody").num_rows == 0

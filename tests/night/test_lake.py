"""What a table's files hold, and what of them a night replaces."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest

from kanta import maintenance, reading, verify
from kanta.errors import BadArguments, KantaError
from kanta.home import Home
from kanta.lake import Lake
from kanta.night import stage

TABLE = "ops.checks"


def january(day: int) -> date:
    return date(2026, 1, day)


def put(home: Home, rows: Mapping[date, int], days: list[date]) -> None:
    """Replaces the days by rows that were checked so often, and publishes it."""
    values = ", ".join(
        f"(date '{day}', 'a.b', 'rows', 'info', true, '', {checked}::bigint)" for day, checked in rows.items()
    )
    names = "business_date, table_name, check_name, severity, success, observed, rows_checked"
    empty = f"select * from (values (date '2026-01-01', '', '', '', true, '', 0::bigint)) as t({names}) where false"
    with stage(home, "sales", days[-1]) as night:
        night.put(TABLE, f"select * from (values {values}) as t({names})" if rows else empty, days)
    Lake(home).publish(days[-1])


def held(home: Home) -> list[tuple[date, int]]:
    lake = Lake(home)
    with stage(home, "sales", january(31)) as night:
        night.attach(TABLE)
        found = night.engine.rows(f"select business_date, rows_checked from {TABLE} order by all")
    published = lake.published()
    assert lake.iceberg_files(TABLE, published.snapshots[TABLE]) == lake.files(TABLE, published)
    return found


def files(home: Home) -> int:
    return len(Lake(home).files(TABLE, Lake(home).published()))


def test_days_of_a_month_lie_in_one_file_and_months_apart(home: Home) -> None:
    put(home, {january(30): 1, january(31): 2, date(2026, 2, 1): 3}, [january(30), january(31), date(2026, 2, 1)])
    assert files(home) == 2
    assert held(home) == [(january(30), 1), (january(31), 2), (date(2026, 2, 1), 3)]


def test_a_day_that_is_replaced_leaves_the_other_days_of_its_file(home: Home) -> None:
    put(home, {january(1): 1, january(2): 2, january(3): 3}, [january(1), january(2), january(3)])
    put(home, {january(2): 20}, [january(2)])
    assert held(home) == [(january(1), 1), (january(2), 20), (january(3), 3)]
    put(home, {}, [january(1)])
    assert held(home) == [(january(2), 20), (january(3), 3)]


def test_a_day_between_those_of_a_file_is_added_and_no_row_lost(home: Home) -> None:
    put(home, {january(1): 1, january(3): 3}, [january(1), january(3)])
    put(home, {january(2): 2}, [january(2)])
    assert held(home) == [(january(1), 1), (january(2), 2), (january(3), 3)]


def test_days_in_files_of_their_own_are_left_where_they_lie(home: Home) -> None:
    for day in (1, 2, 3):
        put(home, {january(day): day}, [january(day)])
    before = set(Lake(home).files(TABLE, Lake(home).published()))
    put(home, {january(2): 20}, [january(2)])
    assert len(before & set(Lake(home).files(TABLE, Lake(home).published()))) == 2
    assert held(home) == [(january(1), 1), (january(2), 20), (january(3), 3)]


def test_a_table_that_loses_every_row_is_empty_for_iceberg_too(home: Home) -> None:
    put(home, {january(1): 1}, [january(1)])
    put(home, {}, [january(1)])
    assert held(home) == []


def test_a_lake_of_another_form_is_refused_with_what_to_do(home: Home) -> None:
    put(home, {january(1): 1}, [january(1)])
    head = Lake(home).head_file
    head.write_text(head.read_text().replace('"form": 1', '"form": 0'))
    with pytest.raises(KantaError, match="form 0, and this version of Kanta reads and writes form 1") as refused:
        Lake(home).head()
    assert "kanta run --from" in str(refused.value.next_step)


def test_a_head_that_was_cut_off_and_a_file_that_is_gone_are_told_with_what_to_do(home: Home) -> None:
    put(home, {january(1): 1}, [january(1)])
    lake = Lake(home)
    (file,) = lake.files(TABLE, lake.published())
    file.unlink()
    checked, *others = verify.verify(home)
    assert (checked.breaches, checked.examples[0][1], len(others)) == (1, str(file), 1)
    with pytest.raises(KantaError, match=file.name) as refused:
        reading.query(home, f"select * from {TABLE}")
    assert "kanta verify" in refused.value.next_step
    lake.head_file.write_text(lake.head_file.read_text()[:50])
    with pytest.raises(KantaError, match="broken") as refused:
        lake.head()
    assert (refused.value.where, "runbook" in refused.value.next_step) == (str(lake.head_file), True)


@pytest.fixture
def months(home: Home, without_iceberg: None) -> Home:
    """Nights of three months, each with one more day of rows; the last of January worked twice."""
    nights = [january(30), january(31), january(31), date(2026, 2, 27), date(2026, 3, 1), date(2026, 3, 2)]
    for number, night in enumerate(nights, start=1):
        put(home, {night: number}, [night])
    return home


def test_as_of_is_that_night_or_an_error_with_the_kept_nights_around_it(months: Home) -> None:
    lake = Lake(months)
    assert (lake.published(january(30)).number, lake.published(january(31)).number) == (1, 3), "the newest of a night"
    for asked, before, after in [
        (january(29), "none before", "2026-01-30"),
        (date(2026, 2, 1), "2026-01-31", "2026-02-27"),
        (date(2026, 3, 3), "2026-03-02", "none after"),
    ]:
        with pytest.raises(BadArguments, match=f"{asked} is not kept.* {before}, {after}"):
            lake.published(asked)
    assert lake.published(date(2026, 2, 1), nearest=True).night == january(31)
    with pytest.raises(BadArguments, match="is not kept"):
        lake.published(january(29), nearest=True)


def test_a_query_says_which_night_it_read(months: Home, capsys: pytest.CaptureFixture[str]) -> None:
    asked = f"select max(rows_checked) as n from {TABLE}"
    for as_of, nearest, night, n in [(None, False, "2026-03-02", 6), (date(2026, 2, 20), True, "2026-01-31", 3)]:
        reading.query(months, asked, form="csv", as_of=as_of, nearest=nearest)
        said = capsys.readouterr()
        assert (said.out, f"night of {night} " in said.err) == (f"n\n{n}\n", True)
    with pytest.raises(BadArguments):
        reading.query(months, asked, as_of=date(2026, 2, 20))
    assert capsys.readouterr().out == ""


def test_maintenance_keeps_the_last_night_of_each_month(months: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(maintenance, "_expire", lambda _: (0, 0))
    lake = Lake(months)
    maintenance._drop_publications(lake, 1)
    kept = [lake.state_of(path) for path in lake.publications()]
    assert [(state.number, str(state.night)) for state in kept] == [
        (3, "2026-01-31"), (4, "2026-02-27"), (6, "2026-03-02"),
    ]  # fmt: skip
    assert maintenance._drop_publications(lake, 1) == 0


def test_a_question_writes_only_where_it_is_told_and_never_into_the_lake(months: Home, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in months.lake.rglob("*.json")}
    for output in (months.lake / "head.json", months.lake / "new.csv"):
        with pytest.raises(BadArguments, match="into the lake"):
            reading.query(months, "select 1", form="csv", output=output)
    (tmp_path / "link").symlink_to(months.lake)
    with pytest.raises(BadArguments, match="into the lake"):
        reading.query(months, "select 1", form="csv", output=tmp_path / "link" / "head.json")
    (file,) = Lake(months).files(TABLE, Lake(months).published(january(30)))
    for target in (months.lake / "head.json", file):
        wrapped = f"with c as (copy (select 1 as x) to '{target}' (use_tmp_file false)) select * from c, {TABLE}"
        with pytest.raises(BadArguments, match="cannot change anything"):
            reading.query(months, wrapped)
    assert {path: path.read_bytes() for path in months.lake.rglob("*.json")} == before


def test_a_csv_file_is_harmless_unless_asked_and_a_pipe_is_exact(
    months: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = "select '=2x4 Timber' as \"+name\", -1.5 as number, '-1.5' as text, null as nothing"
    honest = "+name,number,text,nothing\n=2x4 Timber,-1.5,-1.5,\n"
    harmless = honest.replace("+name", "'+name").replace("=2x4", "'=2x4")
    for exact, text in ((False, harmless), (True, honest)):
        reading.query(months, asked, form="csv", output=tmp_path / "out.csv", exact=exact)
        assert (tmp_path / "out.csv").read_text() == text
    reading.query(months, asked, form="csv")
    assert capsys.readouterr().out == honest
    with (tmp_path / "redirected.csv").open("w") as redirected, contextlib.redirect_stdout(redirected):
        reading.query(months, asked, form="csv")
    assert (tmp_path / "redirected.csv").read_text() == harmless

"""What a table's files hold, and what of them a night replaces."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

import pytest

from kanta import reading, verify
from kanta.errors import KantaError
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

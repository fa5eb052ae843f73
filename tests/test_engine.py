"""The engines of a night share one database process, and see nothing of each other."""

from __future__ import annotations

import os
import subprocess
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from kanta.contracts import contract_of
from kanta.engine import Engine, remove_dead_spills
from kanta.errors import KantaError


def test_shared_engines_of_one_workspace_see_nothing_of_each_other(tmp_path: Path) -> None:
    with Engine(tmp_path, shared=True) as one, Engine(tmp_path, shared=True) as other:
        one.define("shop.sales", "select 1 as sale")
        assert one.has("shop.sales")
        assert not other.has("shop.sales")
        other.define("shop.sales", "select 2 as sale")
        assert (one.value("select sale from shop.sales"), other.value("select sale from shop.sales")) == (1, 2)
    with Engine(tmp_path, shared=True) as next_one:
        assert not next_one.has("shop.sales")


@pytest.mark.parametrize("shared", [True, False])
def test_settings_hold_in_every_engine_wherever_the_machine_stands(tmp_path: Path, shared: bool) -> None:
    with Engine(tmp_path, shared=shared) as engine:
        assert engine.value("select cast(timestamptz '2017-12-10 23:30:00+00' as date)") == date(2017, 12, 10)
        assert engine.value("select current_setting('partitioned_write_max_open_files')") == 4096
        assert engine.value("select current_setting('preserve_insertion_order')") is False


@pytest.mark.parametrize("shared", [True, False])
def test_an_engine_left_in_the_middle_of_its_work_leaves_nothing_behind(tmp_path: Path, shared: bool) -> None:
    with Engine(tmp_path, shared=shared) as broken:
        broken.define("shop.many", "select range as sale from range(100000)")
        with pytest.raises(KantaError, match="missing"):
            broken.execute("select missing from shop.many")
        broken.execute("select * from shop.many").fetchone()
    with Engine(tmp_path, shared=shared) as engine:
        databases = {name for (name,) in engine.rows("select database_name from duckdb_databases() where not internal")}
        assert len(databases - {"memory"}) == int(shared), databases


def test_what_was_spilled_goes_when_the_last_engine_is_closed_and_the_next_can_spill_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KANTA_MEMORY_LIMIT", "60MB")
    for _ in range(2):
        with Engine(tmp_path, shared=True) as engine:
            engine.define(
                "shop.sales", "select range as sale, md5(cast(range as varchar)) as receipt from range(1000000)"
            )
            assert engine.value("select count(distinct receipt) from shop.sales") == 1_000_000
            assert list(tmp_path.glob("spill-*"))
        assert not list(tmp_path.glob("spill-*"))


def test_another_workspace_has_a_process_of_its_own_while_engines_are_at_work(tmp_path: Path) -> None:
    with Engine(tmp_path / "one", shared=True) as one, Engine(tmp_path / "other", shared=True) as other:
        assert [Path(engine.value("select current_setting('temp_directory')")).parent for engine in (one, other)] == [
            tmp_path / "one",
            tmp_path / "other",
        ]


def test_an_engine_that_ends_leaves_alone_what_another_of_its_workspace_has_spilled(tmp_path: Path) -> None:
    with Engine(tmp_path) as one:
        one.execute("set memory_limit = '20MB'")
        one.define("t.big", "select i, cast(hash(i) as varchar) as text from range(1500000) as made (i)")
        (spilled,) = tmp_path.glob("spill-*")
        with Engine(tmp_path) as other:
            assert other.value("select 1") == 1
        assert spilled.exists()
        assert remove_dead_spills(tmp_path) == 0
        assert one.value("select sum(i) from t.big") == 1_500_000 * 1_499_999 // 2


def test_what_a_dead_process_had_spilled_is_removed(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    (tmp_path / f"spill-{ended.pid}-0").mkdir()
    (tmp_path / f"spill-{ended.pid}-0" / "duckdb_temp.tmp").write_text("left")
    (living := tmp_path / f"spill-{os.getpid()}-0").mkdir()
    assert remove_dead_spills(tmp_path) == 1
    assert list(tmp_path.iterdir()) == [living]


def test_what_does_not_fit_into_memory_is_spilled_though_the_workspace_was_never_made(tmp_path: Path) -> None:
    workspace = tmp_path / "work"
    with Engine(workspace) as engine:
        engine.execute("set memory_limit = '20MB'")
        engine.define("t.big", "select i, cast(hash(i) as varchar) as text from range(1500000) as made (i)")
        assert engine.value("select sum(i) from t.big") == 1_500_000 * 1_499_999 // 2
        assert list(workspace.glob("spill-*"))


def test_rows_of_one_month_are_written_as_they_would_be_parted_and_of_another_month_not_at_all(tmp_path: Path) -> None:
    contract = contract_of("ops.decisions")
    empty = ", ".join(f'null as "{name}"' for name in contract.names if name not in ("recorded_on", "decision_id"))
    day = "date '2026-01-05' + cast(n as int) as recorded_on"
    made = f"select {day}, 'd' || n as decision_id, {empty} from range(3) as made (n)"
    with Engine(tmp_path / "work") as engine:
        (parted,) = engine.write(contract, made, tmp_path / "parted")
        (known,) = engine.write(contract, made, tmp_path / "known", month="2026-01")
        assert known.relative_to(tmp_path / "known") == parted.relative_to(tmp_path / "parted")
        assert pq.read_table(known).equals(pq.read_table(parted))
        assert engine.write(contract, f"{made} where n > 5", tmp_path / "none", month="2026-01") == []
        with pytest.raises(KantaError, match=r"Rows for ops\.decisions are of 2026-01, not of 2026-02"):
            engine.write(contract, made, tmp_path / "wrong", month="2026-02")

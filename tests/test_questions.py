"""``kanta query`` asks: a text that would do more than read is refused, whatever it is wrapped in."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kanta import questions
from kanta.contracts import contract_of
from kanta.engine import Engine
from kanta.errors import BadArguments


@pytest.mark.parametrize(
    "sql",
    [
        "select 1", "from sales.lines", "with a as (select 1) from a", "values (1)", "show all tables",
        "describe sales.lines", "summarize sales.lines", "explain select 1", "explain analyze select 1",
        "explain (format json) select 1", "pivot sales.lines on kind using count(*)", "select 1 union all select 2",
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < 3) from n",
        "select unnest([1, 2]), 'copy' as \"insert\"", "select * from range(3)", "-- a word\nselect 1;",
        "select replace(kind, 'copy', 'x') from sales.lines",
    ],
)  # fmt: skip
def test_what_only_reads_is_a_question(sql: str) -> None:
    questions.check(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "copy (select 1) to 'x'", "insert into sales.lines values (1)", "delete from sales.lines", "update t set a = 1",
        "create table t as select 1", "drop view sales.lines", "attach 'x'", "use x", "set threads = 1", "checkpoint",
        "export database 'x'", "import database 'x'", "install httpfs", "load httpfs", "vacuum", "call checkpoint()",
        "pragma enable_profiling", "prepare p as select 1", "execute p", "select 1; select 2", "", "-- nothing",
        "with c as (copy (select 1) to 'x') from c",
        "with c as (insert into t values (1) returning a) from c",
        "with c as (delete from t returning a) select (select count(*) from c)",
        "select (with c as (copy (select 1) to 'x') from c)",
        "select 1 union all (with c as (update t set a = 1 returning a) from c)",
        "explain analyze copy (select 1) to 'x'", "explain (analyze) copy (select 1) to 'x'",
        "explain /* a */ analyze copy (select 1) to 'x'",
        "explain analyze with c as (copy (select 1) to 'x') from c",
        "pivot (with c as (copy (select 1) to 'x') from c) on a using count(*)",
        "select * from query('with c as (copy (select 1) to ''x'') from c')",
        "select * from json_execute_serialized_sql('{}')", "select * from force_checkpoint()",
        "select * from enable_logging(storage = 'file')", "\udcff",
    ],
)  # fmt: skip
def test_what_does_more_is_refused_as_a_bad_argument(sql: str) -> None:
    with pytest.raises(BadArguments) as refused:
        questions.check(sql)
    assert refused.value.next_step


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_text('{folder}/secret.txt')", "select * from read_csv('{folder}/secret.txt')",
        "select * from glob('{folder}/*')", "select * from '{folder}/other.parquet'",
        "select * from read_parquet('{folder}/other.parquet')", "select * from variable",
        "copy (select 1) to '{folder}/new.csv'", "attach '{folder}/new.db'", "set enable_external_access = true",
        "install httpfs",
    ],
)  # fmt: skip
def test_a_confined_engine_reaches_no_other_file_and_no_variable(sql: str, tmp_path: Path) -> None:
    variable = pa.table({"a": [1]})
    (tmp_path / "secret.txt").write_text("SESAME")
    for name in ("mine", "other"):
        pq.write_table(pa.table({"channel_id": [name]}), tmp_path / f"{name}.parquet")
    contract = contract_of("reference.channels")
    with Engine(tmp_path / "work") as engine:
        engine.attach(contract, [])
        engine._files.add(str(tmp_path / "mine.parquet"))
        engine.confine()
        assert engine.rows(f"select channel_id from read_parquet('{tmp_path}/mine.parquet')") == [("mine",)]
        with pytest.raises(Exception, match=r"(?i)permission|disabled|locked|does not exist") as refused:
            engine.con.execute(sql.format(folder=tmp_path)).fetchall()
        assert "SESAME" not in str(refused.value)
    assert variable.num_rows == 1
    assert {path.name for path in tmp_path.iterdir()} <= {"secret.txt", "mine.parquet", "other.parquet", "work"}

"""The command line: exit codes, and messages that say what, where and what to do next."""

from __future__ import annotations

import atexit
import io
import json
import os
import sqlite3
import sys
from pathlib import Path

import duckdb
import pytest

from kanta import cli, night, quality
from kanta.home import Home
from tests.conftest import NoJudge
from tests.night import history
from tests.night.history import DAYS

pytestmark = pytest.mark.slow  # whole nights


@pytest.fixture
def here(home: Home, monkeypatch: pytest.MonkeyPatch, without_iceberg: None) -> Home:
    """A home that commands work in by default; nights go unjudged and untold to Iceberg."""
    monkeypatch.setenv("KANTA_HOME", str(home.root))
    monkeypatch.setattr(quality, "Judge", NoJudge)
    return home


def commands() -> list[list[str]]:
    """Every command, and every command of a group."""
    found = []
    parser = cli._parser()
    for name, command in parser._subparsers._group_actions[0].choices.items():  # type: ignore[union-attr]
        groups = [action for action in command._actions if hasattr(action, "choices") and action.dest == "==SUPPRESS=="]
        found += [[name, child] for child in groups[0].choices] if groups else [[name]]
    return found


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(commands()) >= 15
    for command in commands():
        with pytest.raises(SystemExit, match="0"):
            cli.main([*command, "--help"])
        assert "--quiet" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"],
        ["run", "--date", "2026-01-05", "--to", "2026-01-06"],
        ["run", "--from", "2026-01-06", "--to", "2026-01-05"],
        ["run", "--date", "2026-01-05", "--stage", "lunch"],
        ["quarantine", "release", "x", "--set", "nothing"],
        ["quarantine", "dismiss", "--reason", "none is named"],
    ],
    ids=" ".join,
)
def test_bad_arguments_end_with_2_and_the_next_step(
    arguments: list[str], here: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(arguments) == 2
    assert "next:" in capsys.readouterr().err


def test_a_programme_that_does_not_validate_ends_with_2_and_runs_nothing(
    here: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    history.write(here)
    (here.programme / "more.yaml").write_text("schemes: 3\nlunch: free\n", encoding="utf-8")
    assert cli.main(["run", "--date", DAYS[-1].isoformat()]) == 2
    said = capsys.readouterr().err
    assert "more.yaml" in said
    assert "lunch" in said
    assert "schemes" in said
    assert not here.lake.exists()


def test_a_night_that_set_something_aside_ends_with_3_and_one_that_did_not_with_0(
    here: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    history.write(here)
    day = DAYS[-1].isoformat()
    assert cli.main(["run", "--date", day, "--quiet"]) == 0
    folder = here.landing / "pos" / day / "S2"
    folder.mkdir(parents=True)
    (folder / "control.json").write_text("{", encoding="utf-8")
    capsys.readouterr()
    assert cli.main(["run", "--date", day, "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["open_quarantine"] == 1
    assert cli.main(["quarantine", "dismiss", "--source", "S2", "--reason", "the store is closed", "--json"]) == 0
    (closed,) = json.loads(capsys.readouterr().out)
    assert (closed["level"], closed["source"]) == ("drop", "S2")
    assert cli.main(["run", "--date", day, "--json"]) == 0, "what was dismissed needs no look, and is not read again"
    assert json.loads(capsys.readouterr().out)["open_quarantine"] == 0
    assert cli.main(["quarantine", "list", "--status", "dismissed", "--json"]) == 0
    assert [row["quarantine_id"] for row in json.loads(capsys.readouterr().out)] == [closed["quarantine_id"]]
    assert cli.main(["query", "select content from ops.decisions where kind = 'dismissal'", "--json"]) == 0
    (decided,) = [json.loads(row["content"]) for row in json.loads(capsys.readouterr().out)]
    assert decided == {"quarantine_ids": [closed["quarantine_id"]], "why": "the store is closed"}


def test_what_is_odd_about_a_drop_is_said_and_kept_and_stops_nothing(
    here: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    history.write(here)
    drop = next((here.landing / "pos" / DAYS[-1].isoformat()).iterdir())
    (drop / "notes.txt").touch()
    (here.landing / "POS").mkdir()
    assert cli.main(["run", "--date", DAYS[-1].isoformat()]) == 0
    said = capsys.readouterr().err
    assert f"pos/{DAYS[-1]}/{drop.name}/notes.txt: the file is ignored" in said
    assert f"POS/{DAYS[-1]}: no feed is called so" in said
    assert cli.main(["query", "--json", "select stage, detail from ops.runs where detail like '%stray_file%'"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["stage"], json.loads(row["detail"])["warnings"][0]["file"]) == ("ingest_pos", "notes.txt")


def test_a_reader_where_nothing_was_run_is_told_what_to_run(here: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["query", "select 1 from loyalty.balances"]) == 1
    assert "next:  kanta demo" in capsys.readouterr().err


def test_a_query_reads_the_lake_and_no_other_file(here: Home, capsys: pytest.CaptureFixture[str]) -> None:
    history.write(here, only=DAYS[0])
    cli.main(["run", "--date", DAYS[0].isoformat(), "--quiet"])
    assert cli.main(["query", "select count(*) as n from sales.transactions", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"n": 3}]
    assert cli.main(["query", "select nothing from sales.transactions"]) == 2
    assert "next:" in capsys.readouterr().err
    assert cli.main(["query", "select * from read_text('/etc/hostname')"]) == 2
    assert cli.main(["query", "copy (select 1) to '/tmp/out.csv'"]) == 2


def test_names_that_headquarters_does_not_know_are_warnings(here: Home, capsys: pytest.CaptureFixture[str]) -> None:
    history.write(here, only=DAYS[0])
    cli.main(["run", "--date", DAYS[0].isoformat(), "--quiet"])
    assert cli.main(["programme", "check"]) == 0
    assert "hq" not in capsys.readouterr().out.replace(str(here.root), "")
    path = next(here.programme.glob("*.yaml"))
    path.write_text(path.read_text(encoding="utf-8").replace("all", "S9", 1), encoding="utf-8")
    assert cli.main(["programme", "check"]) == 0
    assert "S9 is not known to hq" in capsys.readouterr().out


def test_a_process_ends_in_good_order_also_when_nobody_reads_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = io.TextIOWrapper(io.BytesIO())
    nobody.close()
    monkeypatch.setattr(sys, "stderr", nobody)
    monkeypatch.setattr(atexit, "_run_exitfuncs", lambda: None)
    monkeypatch.setattr(os, "_exit", lambda _: pytest.fail("what was to be said was not"))
    cli._end(cli.DONE)


def test_a_place_that_is_a_file_is_said_with_the_place(here: Home, capsys: pytest.CaptureFixture[str]) -> None:
    history.write(here)
    Path(here.lake).write_text("", encoding="utf-8")
    assert cli.main(["run", "--date", DAYS[-1].isoformat()]) == 1
    said = capsys.readouterr().err
    assert str(here.lake) in said
    assert "next:" in said


@pytest.mark.parametrize(
    "error",
    [
        duckdb.FatalException("FATAL Error: Failed to create checkpoint because of error:\nNo space left on device"),
        sqlite3.OperationalError("database or disk is full"),
    ],
    ids=str,
)
def test_a_full_disk_is_said_whoever_met_it_and_what_nobody_foresaw_is_not_hidden(
    error: Exception, here: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(night, "run", refuse)
    assert cli.main(["run", "--date", "2026-01-05", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["next"].startswith("make room")
    error.args = ("a defect of ours",)
    assert cli.main(["run", "--date", "2026-01-05"]) == 1
    said = capsys.readouterr().err
    assert f"{type(error).__name__}: a defect of ours" in said
    assert "Traceback" not in said
    monkeypatch.setenv("KANTA_TRACEBACK", "1")
    with pytest.raises(type(error)):
        cli.main(["run", "--date", "2026-01-05"])


def test_a_console_without_a_letter_shows_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    console = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", console)
    cli._speak()
    print("Väinö ☕ \udcff")
    console.flush()
    assert console.buffer.getvalue() == b"V\\xe4in\\xf6 \\u2615 \\udcff\n"  # type: ignore[attr-defined]


@pytest.mark.parametrize("arguments", [["explain", "entry"], ["query"], ["quarantine", "show"]], ids=" ".join)
def test_a_word_that_is_no_text_is_a_bad_argument(
    arguments: list[str], here: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*arguments, "\udcff"]) == 2
    assert "no text in UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify"], ["query", "\udcff"], ["query", "select " + "(" * 5000 + "1"], ["query", "select 1" + " + 1" * 9999],
        ["query", "select 1", "--as-of", "2026-01-01"], ["explain", "card", "\udcff"], ["quarantine", "show", "\udcff"],
        ["audience", "\udcff", "--channel", "email"], ["audience", "(" * 9000 + "r = 1", "--channel", "email"],
        ["programme", "check", "/nowhere/\udcff"], ["replay", "--dry-run"], ["maintenance"], ["report"],
        ["distribution", "prove"], ["customers", "erase", "K1"], ["analysts", "--no-browser"], ["status"],
    ],
    ids=lambda words: ascii(" ".join(words))[:40],
)  # fmt: skip
def test_where_nothing_was_run_no_command_and_no_word_gives_a_traceback(
    arguments: list[str], here: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = cli.main(arguments)
    except SystemExit as refused:  # of a command this version has not
        code = int(str(refused.code))
    said = capsys.readouterr().err
    assert code in (0, 1, 2)
    assert "does not know" not in said, said
    assert "Traceback" not in said

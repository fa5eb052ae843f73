"""Faults seen in the field: each folder of ``cases`` is one small home that was got wrong once, worked as its users do.

A case is a ``case.yaml`` (commands with their exit codes and what they say, then what must hold) beside the home it
works on, whose bytes stay as they are, for all hashes of its drops are right. ``build.py`` makes what is not kept as a
file (links, hostile files); ``python:`` steps run a script of the case between two commands.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from kanta import cli, quality
from tests.conftest import NoJudge

CASES = Path(__file__).parent / "cases"
PROJECT = Path(__file__).parents[2]
KANTA = [sys.executable, "-m", "kanta"]
KEYS = {"what", "kind", "env", "home", "run", "expect", "why_right", "spec", "source", "today", "doubt"}
TRACEBACK = "Traceback (most recent call last)"
SECONDS = 240  # for one command: only one that never ends takes so long


class Case:
    """One case at work in a temporary folder; ``wrong`` holds every difference found so far."""

    def __init__(self, folder: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.document: dict[str, Any] = yaml.safe_load((folder / "case.yaml").read_text(encoding="utf-8"))
        assert set(self.document) <= KEYS, f"unknown keys {sorted(set(self.document) - KEYS)}"
        self.work = work
        self.home = work / str(self.document.get("home", "home"))
        self.wrong: list[str] = []

    def differences(self) -> list[str]:
        """Builds the home, takes the steps and compares: all that is not as it should be."""
        self._build()
        for number, step in enumerate(self.document["run"], 1):
            self._step(number, step)
        for expected in self.document.get("expect") or []:
            self.wrong.extend(self._differing(expected))
        return self.wrong

    def _filled(self, text: object) -> str:
        places = {"home": self.home, "work": self.work, "case": self.folder, "python": sys.executable}
        return re.sub(r"\{(home|work|case|python)\}", lambda match: str(places[match[1]]), str(text))

    def _kanta(self, words: Sequence[object]) -> tuple[int, str, str]:
        """Carries a command out in this process, which saves seconds each time."""
        written = [io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2)]
        with self.monkeypatch.context() as patch:
            for name, value in self._environment().items():
                patch.setenv(name, value)
            patch.chdir(self.work)
            with redirect_stdout(written[0]), redirect_stderr(written[1]):
                try:
                    code = cli.main([self._filled(word) for word in words])
                except SystemExit as left:  # wrong arguments
                    code = int(left.code or 0)
        out, err = (stream.buffer.getvalue().decode() for stream in written)  # type: ignore[attr-defined]
        return code, out, err

    def _environment(self) -> dict[str, str]:
        fixed = {"NO_COLOR": "1", "COLUMNS": "200", "PYTHONPATH": str(PROJECT)}
        return {**fixed, **self.document.get("env", {}), "KANTA_HOME": str(self.home), "KANTA": shlex.join(KANTA)}

    def _script(self, words: Sequence[object]) -> tuple[int, str, str]:
        """Runs a script in the temporary folder; returns its exit code and what it wrote to stdout and stderr."""
        with subprocess.Popen(
            [sys.executable, *(self._filled(word) for word in words)],
            cwd=self.work,
            env={**os.environ, **self._environment()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            try:
                out, err = process.communicate(timeout=SECONDS)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        return process.returncode, out.decode(errors="replace"), err.decode(errors="replace")

    def _build(self) -> None:
        if (self.folder / "home").is_dir():
            shutil.copytree(self.folder / "home", self.home, symlinks=True)
        else:
            self.home.mkdir(parents=True)
        if (self.folder / "build.py").is_file():
            code, _, err = self._script([self.folder / "build.py", self.home])
            assert not code, f"build.py: {err}"

    def _step(self, number: int, step: Mapping[str, Any]) -> None:
        if "kanta" in step:
            code, out, err = self._kanta(step["kanta"])
        else:
            script, *arguments = step["python"]
            code, out, err = self._script([self.folder / script, *arguments])
        output = out + err
        name = f"step {number} ({' '.join(map(str, step.get('kanta') or step['python']))[:120]})"
        exits = step.get("exit", 0)
        if code not in (exits if isinstance(exits, list) else [exits]):
            self.wrong.append(f"{name} ended with {code}, not {exits}; it said: {output.strip()[-600:]}")
        if TRACEBACK in output:
            self.wrong.append(f"{name} shows a traceback: {output.strip().splitlines()[-1][:200]}")
        for text in step.get("says", []):
            if self._filled(text).lower() not in output.lower():
                self.wrong.append(f"{name} does not say {text!r}; it said: {output.strip()[-600:]}")
        for text in step.get("says_not", []):
            if self._filled(text).lower() in output.lower():
                self.wrong.append(f"{name} says {text!r}")

    def _differing(self, expected: Mapping[str, Any]) -> Iterator[str]:
        if "query" in expected:
            yield from self._rows(self._filled(expected["query"]), expected["rows"])
        elif "file" in expected:
            yield from self._file(expected)
        elif "only_in" in expected:
            folder = Path(self._filled(expected["only_in"]))
            names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
            if names != sorted(expected["names"]):
                yield f"{expected['only_in']} holds {names}, not {sorted(expected['names'])}"
        elif "nowhere" in expected:
            for path, text in _found(Path(self._filled(expected.get("under", "{home}"))), expected["nowhere"]):
                yield f"{text!r} still stands in {path.relative_to(self.work)}"
        else:
            raise AssertionError(f"unknown expectation {expected}")

    def _rows(self, sql: str, right: Sequence[Sequence[object]]) -> Iterator[str]:
        code, out, err = self._kanta(["query", sql, "--format", "csv"])
        if code:
            yield f"{sql}: kanta query ended with {code}: {err.strip()[-600:]}"
            return
        rows = list(csv.reader(io.StringIO(out)))[1:]
        wanted = [[_plain(value) for value in row] for row in right]
        if len(rows) != len(wanted) or not all(map(_same_row, rows, wanted)):
            yield f"{sql}\n    right: {wanted}\n    got:   {rows}"

    def _file(self, expected: Mapping[str, Any]) -> Iterator[str]:
        path = Path(self._filled(expected["file"]))
        there = os.path.lexists(path)
        if there != expected.get("there", True):
            yield f"{expected['file']} is {'' if there else 'not '}there"
        elif there and path.is_symlink() != expected.get("is_link", path.is_symlink()):
            yield f"{expected['file']} is {'' if path.is_symlink() else 'not '}a link"
        elif there and "text" in expected and path.read_bytes() != expected["text"].encode():
            yield f"{expected['file']} holds {path.read_bytes()[:120]!r}, not {expected['text']!r}"


def _plain(value: object) -> str:
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _same_row(row: Sequence[str], right: Sequence[str]) -> bool:
    return len(row) == len(right) and all(map(_same, row, right))


def _same(value: str, right: str) -> bool:
    try:
        return value == right or Decimal(value) == Decimal(right)
    except InvalidOperation:
        return False


def _found(folder: Path, texts: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """Each file where one of the texts stands: in its bytes, in UTF-16, unpacked, or in a column of Parquet."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        views = list(_views(path.read_bytes()))
        for text in texts:
            forms = (text.encode(), text.encode("utf-16-le"), text.encode("utf-16-be"))
            if any(form in view for view in views for form in forms):
                yield path, text


def _views(data: bytes) -> Iterator[bytes]:
    yield data
    try:
        if data[:2] == b"\x1f\x8b":
            yield gzip.decompress(data)
        if data[:4] == b"PAR1":
            for column in pq.read_table(pa.BufferReader(data)).columns:
                yield "\n".join(map(str, column.to_pylist())).encode()
    except (OSError, EOFError, pa.ArrowException):
        pass  # a broken file: what of it can be read was searched as it stands


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.parent.name for path in CASES.glob("*/case.yaml")))
def test_a_fault_seen_in_the_field_is_mended(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "Judge", NoJudge)
    case = Case(CASES / name, tmp_path, monkeypatch)
    wrong = case.differences()
    assert not wrong, f"{name}: {case.document['why_right']}\n" + "\n".join(wrong)


def test_there_are_cases_and_each_is_whole() -> None:
    folders = sorted(path for path in CASES.iterdir() if path.is_dir())
    assert folders
    for folder in folders:
        document = yaml.safe_load((folder / "case.yaml").read_text(encoding="utf-8"))
        assert document["run"], folder.name
        assert document.get("expect") or any(step.get("says") or "exit" in step for step in document["run"]), (
            folder.name
        )

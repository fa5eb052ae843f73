"""Is what the night made what the contracts promise? Great Expectations judges it before it is published.

``Judge`` is the night's side: it starts a worker process at the night's beginning, which imports Great Expectations
(seconds) while the night works and judges what each stage has written, and asks it for all at the end. ``rules``
derives the rules from a contract, ``judging`` has Great Expectations evaluate them, ``pages`` writes its data docs.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, cast

from pydantic import TypeAdapter

from kanta.contracts import Contract
from kanta.errors import KantaError
from kanta.home import REPOSITORY


@dataclass(frozen=True)
class Result:
    """One row of ``ops.checks``: how one rule of one table was met (1-interfaces section 5).

    ``severity`` is critical (stops the publication), warning or info; ``observed`` what was seen, with up to five
    offending rows by key and never a personal value; ``rows_checked`` how many rows were looked at.
    """

    table_name: str
    check_name: str
    severity: str
    success: bool
    observed: str
    rows_checked: int


@dataclass(frozen=True)
class Question:
    """What the worker is asked: see ``judging.Court.judge``. ``answer``: whether somebody waits for the results."""

    tables: dict[str, list[Path]]
    contracts: dict[str, Contract]
    docs: Path | None
    answer: bool


@dataclass(frozen=True)
class Answer:
    """The results, or (what, where, next step) of the KantaError there was instead."""

    results: tuple[Result, ...] = ()
    error: tuple[str, str, str] | None = None


#: How many lines of a dead worker's complaints are shown.
TAIL = 20

QUESTION = TypeAdapter(Question)
ANSWER = TypeAdapter(Answer)


#: Messages that quote names of ours; any other may quote a value from a row.
_NAMES_ONLY = re.compile(r"(Catalog|Binder|Parser|IO) Error|The column \"")


def masked(message: str) -> str:
    """The first line of an error message, without the values it quotes: they may be personal."""
    first = next((line.strip() for line in message.splitlines() if line.strip()), "")
    return first if _NAMES_ONLY.search(first) else re.sub(r"'.*'|\".*\"", "'…'", first)


class Judge:
    """The data-quality worker of one night; a context manager, so that it never outlives the night.

    The worker ends by itself when this process does, however that happens.
    """

    def __enter__(self) -> Judge:
        self._complaints: IO[bytes] = tempfile.TemporaryFile()
        self._worker = subprocess.Popen(
            [sys.executable, "-m", "kanta.quality"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            cwd=REPOSITORY,  # where the package is found when it is not installed
        )
        self._questions, self._answers = cast(IO[bytes], self._worker.stdin), cast(IO[bytes], self._worker.stdout)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._worker.kill()  # it holds nothing that is not finished once it has answered
        self._worker.communicate()
        self._complaints.close()

    def begin(self, tables: Mapping[str, Sequence[Path]], contracts: Mapping[str, Contract]) -> None:
        """Has the worker judge these tables while the night goes on; what it has judged is there when asked for.

        An unreadable file is told by :meth:`ask`, if the table still has it then; so is a worker that died.
        """
        with suppress(BrokenPipeError):
            self._put(tables, contracts, None, answer=False)

    def ask(
        self, tables: Mapping[str, Sequence[Path]], contracts: Mapping[str, Contract], docs: Path | None = None
    ) -> list[Result]:
        """``judging.Court.judge`` in the worker; waits for its results.

        Raises KantaError as that does, and with the worker's last words when it died.
        """
        try:
            self._put(tables, contracts, docs, answer=True)
        except BrokenPipeError:
            raise self._ended() from None
        line = self._answers.readline()
        if not line:
            raise self._ended()
        answer = ANSWER.validate_json(line)
        if answer.error:
            what, where, next_step = answer.error
            raise KantaError(what, where=where, next_step=next_step)
        return list(answer.results)

    def _put(
        self,
        tables: Mapping[str, Sequence[Path]],
        contracts: Mapping[str, Contract],
        docs: Path | None,
        *,
        answer: bool,
    ) -> None:
        question = Question(
            tables={table: [file.resolve() for file in files] for table, files in tables.items()},
            contracts={table: contracts[table] for table in tables},
            docs=docs.resolve() if docs else None,
            answer=answer,
        )
        self._questions.write(QUESTION.dump_json(question) + b"\n")
        self._questions.flush()

    def _ended(self) -> KantaError:
        code = self._worker.wait()
        self._complaints.seek(0)
        words = self._complaints.read().decode(errors="replace").splitlines()[-TAIL:]
        # Indented lines are our code; the others are messages, and may quote a row.
        said = "\n".join(f"  {line if line.startswith(' ') else masked(line)}" for line in words)
        return KantaError(
            f"The data-quality worker ended (exit code {code}) before it had judged the tables:\n{said}",
            next_step="run the night again; nothing of it was published",
        )

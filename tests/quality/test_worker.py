"""The life of the worker process."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kanta.errors import KantaError
from kanta.home import REPOSITORY
from kanta.quality import Judge, masked
from kanta.quality.__main__ import LeftOut
from tests.quality.conftest import SALES

SHORTLY = 20_000  # milliseconds; only ever waited for when something is wrong


def ended(process: int) -> bool:
    """Has the process ended, or does it within a while?"""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(SHORTLY))


def test_starting_the_worker_does_not_import_great_expectations_here() -> None:
    code = "import sys, kanta.quality; print('great_expectations' in sys.modules, 'pandas' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert said.stdout == "False False\n"


def test_leaving_the_night_ends_the_worker_even_before_it_was_asked() -> None:
    with Judge() as judge:
        process = judge._worker.pid
        assert judge._worker.poll() is None
    assert ended(process)


def test_the_worker_ends_when_the_night_is_killed() -> None:
    code = (
        "from kanta.quality import Judge\nwith Judge() as judge:\n    print(judge._worker.pid, flush=True)\n    input()"
    )
    night = subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert night.stdout
    process = int(night.stdout.readline())
    night.send_signal(signal.SIGKILL)
    night.communicate()
    assert ended(process)


def test_a_worker_that_died_is_an_error_with_its_last_words_but_no_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "great_expectations.py").write_text("raise RuntimeError('cannot read %r' % 'enaj'[::-1])")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Judge() as judge, pytest.raises(KantaError) as error:
        judge.ask({SALES.name: []}, {SALES.name: SALES})
    assert "ended (exit code 1)" in error.value.what
    assert "RuntimeError: cannot read '…'" in error.value.what
    assert "jane" not in str(error.value)
    assert error.value.next_step


def test_a_worker_that_was_killed_is_an_error() -> None:
    with Judge() as judge:
        judge._worker.kill()
        judge._worker.wait()
        with pytest.raises(KantaError, match=r"ended \(exit code -9\)"):
            judge.ask({SALES.name: []}, {SALES.name: SALES})


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Conversion Error: Not an 'O'Brien' to INT32\n[SQL: 'x']", "Conversion Error: Not an '…' to INT32"),
        ('Conversion Error: invalid date "Jane", expected', "Conversion Error: invalid date '…', expected"),
        ('\n Binder Error: column "emial" not found\nmore', 'Binder Error: column "emial" not found'),
        ("", ""),
    ],
)
def test_messages_keep_names_and_hide_values(message: str, shown: str) -> None:
    assert masked(message) == shown


def test_what_is_left_out_of_the_worker_says_so_when_used() -> None:
    with pytest.raises(AttributeError, match=r"scipy\.stats is left out of the data-quality worker"):
        _ = LeftOut("scipy").stats

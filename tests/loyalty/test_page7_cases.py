"""The worked cases of ../shared/cases/page7/loyalty: each through landing, ledger and publication."""

from __future__ import annotations

import pytest

from kanta.home import Home
from tests.cases import cases
from tests.loyalty.test_cases import breaches, problems, work

ALL = cases("page7/loyalty")

#: The sections of spec 7-seeds-whole that are built; the other cases wait for theirs.
WORKED = (
    "nobody-card", "nobody-sale", "post-void-document", "post-void-status", "receipts-refused",
    "receipts-tenders", "tender-channel-off", "tender-currency", "tender-currency-missing", "tender-no-points",
    "tender-no-reward-point", "times-local", "unknown-dataset",
)  # fmt: skip


@pytest.mark.parametrize("name", WORKED)
def test_a_case_in_one_night_gives_what_it_expects(name: str, home: Home) -> None:
    work(ALL[name], home, each_night=False)
    assert problems(home, ALL[name]["expect"]) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", WORKED)
def test_a_case_night_by_night_gives_the_same_and_keeps_every_invariant(name: str, home: Home) -> None:
    work(ALL[name], home, each_night=True)
    assert problems(home, ALL[name]["expect"]) == []
    assert breaches(home) == []

"""How the night was judged."""

from __future__ import annotations

from dataclasses import dataclass

from kanta.report.nights import Window


@dataclass(frozen=True)
class FailedCheck:
    severity: str
    table: str
    check: str
    observed: str


@dataclass(frozen=True)
class Checks:
    """How the night was judged: severity -> (met, asked), and what was not met."""

    asked: dict[str, tuple[int, int]]
    failed: list[FailedCheck]


def read(window: Window) -> Checks:
    """What was asked and what was not met, the gravest first."""
    asked = window.rows(
        "select severity, count(*) filter (where success), count(*) from ops.checks where business_date = $night"
        " group by severity order by severity"
    )
    failed = window.each(
        FailedCheck,
        "select severity, table_name, check_name, coalesce(observed, '') from ops.checks"
        " where business_date = $night and not success order by severity, table_name, check_name",
    )
    order = ("critical", "warning", "info")
    return Checks(
        {severity: (met, of) for severity, met, of in sorted(asked, key=lambda row: order.index(row[0]))},
        sorted(failed, key=lambda check: order.index(check.severity)),
    )

"""What needs a look: what the figures of a night's page say of themselves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from kanta.report import Report


Level = Literal["critical", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """Something to look at: what, which section of the page says more, which command helps."""

    level: Level
    text: str
    section: str
    command: str = ""


def of(report: Report) -> list[Finding]:
    """What the figures say needs a look, in the order of the page's sections."""
    found = []
    if not report.number:
        text = "This night is not published: readers see the night before it."
        found.append(Finding("critical", text, "checks", f"kanta run --date {report.night}"))
    failed = Counter(check.severity for check in report.checks.failed)
    if failed["critical"]:
        found.append(Finding("critical", f"{count(failed['critical'], 'critical check')} failed.", "checks"))
    if broken := [item for item in report.points if not item.ties]:
        text = f"The points do not tie: {few(f'{item.program_id} {item.reward_point_id}' for item in broken)}."
        found.append(Finding("critical", text, "points", "kanta verify"))
    if stores := [session for session in report.sessions if session.failed]:
        text = f"{count(len(stores), 'store package')} failed: {few(session.database for session in stores)}."
        found.append(Finding("critical", text, "packages", "kanta distribution status"))
    if report.silent:
        longest, silent = report.silent[0], {each.database for each in report.silent}
        text = f"{count(len(silent), 'store')} silent, {longest.database} for {count(longest.nights, 'night')}."
        found.append(Finding("warning", text, "packages", "kanta distribution status"))
    if report.doubted:
        names = few(dict.fromkeys(f"{database} ({why})" for database, _, why in report.doubted))
        text = f"{count(len(report.doubted), 'answer')} of stores not believed: {names}."
        query = 'kanta query "select * from distribution.acknowledgements where disbelief is not null"'
        found.append(Finding("warning", text, "packages", query))
    if report.missing:
        days = few(f"{source} on {day_}" for source, day_ in report.missing)
        found.append(Finding("warning", f"{count(len(report.missing), 'store-day')} missing: {days}.", "drops"))
    if tonight := sum(rule.tonight for rule in report.refused_by):
        text = f"{count(tonight, 'row or file', 'rows or files')} set aside tonight."
        found.append(Finding("warning", text, "quarantine", "kanta quarantine list"))
    if report.stores.incomplete:
        names = few(
            f"{day.store_id} on {day.business_date}" for day in report.stores.odd if day.verdict == "incomplete"
        )
        text = f"{count(report.stores.incomplete, 'store-day')} incomplete, such as {names}."
        found.append(Finding("warning", text, "stores", 'kanta query "select * from ops.store_days"'))
    if report.customers.channels:
        names = few(channel for channel, _ in report.customers.channels)
        text = f"{count(len(report.customers.channels), 'channel')} with a default customer to look at: {names}."
        found.append(Finding("warning", text, "customers"))
    if waiting := sum(now for _, now, _ in report.exceptions):
        text = f"{count(waiting, 'sale')} tonight whose points wait."
        found.append(Finding("warning", text, "points", 'kanta query "select * from loyalty.exceptions"'))
    if old := sum(held.old for held in report.orders.held):
        text = f"{count(old, 'order')} held for a week or longer."
        found.append(Finding("warning", text, "orders", 'kanta query "select * from call_center.order_holds"'))
    if failed["warning"]:
        found.append(Finding("warning", f"{count(failed['warning'], 'check')} gave a warning.", "checks"))
    if not report.checks.asked:
        found.append(Finding("note", "No check was made.", "checks"))
    if older := sum(rule.open for rule in report.refused_by) - tonight:
        text = f"{count(older, 'row or file', 'rows or files')} of earlier nights still set aside."
        found.append(Finding("note", text, "quarantine", "kanta quarantine list"))
    if report.stores.differing:
        text = f"{count(report.stores.differing, 'store-day')} with receipts that do not add up."
        found.append(Finding("note", text, "stores", 'kanta query "select * from ops.receipt_checks"'))
    if report.late:
        text = f"{count(len(report.late), 'drop')} of earlier nights came tonight."
        found.append(Finding("note", text, "drops"))
    return found


def count(number: int, one: str, many: str = "") -> str:
    """A number and what it is of: 1 row, 2 rows."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def few(names: Iterable[str]) -> str:
    """The first names, and how many more."""
    listed = list(names)
    more = f" and {len(listed) - 3:,} more" if len(listed) > 3 else ""
    return ", ".join(listed[:3]) + more

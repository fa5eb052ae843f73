"""Data docs: Great Expectations' own pages of what was judged, in a frame that needs nothing from the internet.

Its own frame loads style sheets, scripts and images from eight foreign hosts; this one loads none, and forbids it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

from great_expectations.core import ExpectationSuiteValidationResult  # noqa: TID253  # only the worker imports this
from great_expectations.render.renderer.page_renderer import ValidationResultsPageRenderer  # noqa: TID253
from great_expectations.render.view.view import DefaultJinjaPageView  # noqa: TID253
from jinja2 import ChoiceLoader, DictLoader, PackageLoader

from kanta.quality import Result

HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="UTF-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Data quality</title>
<style>
:root { color-scheme: light dark; }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #8884; }
td { overflow-wrap: anywhere; }
td:first-child { width: 6rem; }
[data-toggle] :is(th, td):nth-child(3) { display: none; } /* observed: stands in the description */
pre { white-space: pre-wrap; }
.fa-check-circle::before { content: "met"; color: #2a7; }
.fa-times::before { content: "not met"; color: #d33; font-weight: bold; }
i.fas { font-style: normal; }
</style></head><body>
"""

#: In place of Great Expectations' page: without its first section, which holds the time and links of its own site.
PAGE = (
    HEAD
    + """<p><a href="index.html">All tables</a></p>
<h1>{{ table }}</h1>
{% for section in sections[1:] %}{% set section_loop = loop %}{% include 'section.j2' %}{% endfor %}
</body></html>
"""
)


def write(directory: Path, results: Sequence[Result], outcomes: Mapping[str, ExpectationSuiteValidationResult]) -> None:
    """Writes ``index.html`` and one page for each table, in place of what an earlier night wrote there."""
    directory.mkdir(parents=True, exist_ok=True)
    for old in directory.glob("*.html"):
        old.unlink()
    view = DefaultJinjaPageView()
    blocks = PackageLoader("great_expectations", "render/view/templates")
    view.env.loader = ChoiceLoader([DictLoader({"page.j2": PAGE}), blocks])
    for table, outcome in outcomes.items():
        mine = [result for result in results if result.table_name == table]
        _say(outcome, mine)
        document = ValidationResultsPageRenderer().render(outcome)
        page = view.render(document, table=escape(table))  # type: ignore[no-untyped-call]
        (directory / f"{table}.html").write_text(page, encoding="utf-8")
    (directory / "index.html").write_text(_index(list(outcomes), results), encoding="utf-8")


def _say(outcome: ExpectationSuiteValidationResult, results: Sequence[Result]) -> None:
    """Puts what our results say, masked and without traces, into Great Expectations' own.

    It goes where a description stands: that is the one place where all kinds of expectation show a text. The
    templates do not escape.
    """
    observed = {result.check_name: result.observed for result in results}
    for item in outcome.results:
        config = item.expectation_config
        if config and config.meta:
            check = config.meta["check"]
            config.description = escape(f"{check}: {config.description} — {observed[check]}")
            item.result = {"observed_value": ""}
            item.exception_info = {"raised_exception": False}


def _index(tables: Sequence[str], results: Sequence[Result]) -> str:
    rows = []
    for table in tables:
        mine = [result for result in results if result.table_name == table]
        failed = [f"{result.check_name} ({result.severity})" for result in mine if not result.success]
        rows.append(
            f'<tr><td><a href="{escape(table)}.html">{escape(table)}</a></td><td>{mine[0].rows_checked}</td>'
            f"<td>{len(mine) - len(failed)} of {len(mine)}</td><td>{escape(', '.join(failed))}</td></tr>"
        )
    head = "<tr><th>Table</th><th>Rows checked</th><th>Checks met</th><th>Not met</th></tr>"
    return (
        f"{HEAD}<h1>Data quality of the night's tables</h1>\n<table>{head}\n"
        + "\n".join(rows)
        + "</table></body></html>\n"
    )

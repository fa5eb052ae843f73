"""The generated pages: ``python -m kanta.documents`` writes them, ``--check`` says which of them are stale.

``docs/data-dictionary.md`` comes from the contracts and the SQL graph, ``docs/dags.md`` from the DAG files as they
stand (parsed, not imported, so that Airflow is not needed), ``docs/call-center.md`` from the table of hold states and
the fields of conditions, ``schemas/programme/`` from the programme's models.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

from kanta import contracts, holds, lineage, models
from kanta.contracts import Column, Contract
from kanta.home import REPOSITORY
from kanta.programme import when
from kanta.programme.loading import schema_files

RENEW = "python -m kanta.documents"

_MADE = "<!-- Made by `python -m kanta.documents`; do not edit. -->"

#: How a night writes each kind of table, and what a rerun replaces (house rule: the kind alone decides).
KINDS = {
    "fact": "a night replaces the days it touches, each as a whole",
    "posting": "only ever added to",
    "state": "a night replaces the buckets of what it touches, each as a whole",
    "view": "worked out when it is read; nothing is stored",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the pages, or with ``--check`` names the stale ones; exit code 1 when there are any."""
    parser = argparse.ArgumentParser(prog=RENEW, description="Write the generated pages.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 naming the pages that are stale")
    if parser.parse_args(arguments).check:
        found = check()
        if found:
            print("Stale: " + ", ".join(found) + f"\n  next:  {RENEW}", file=sys.stderr)
        return 1 if found else 0
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
    return 0


def check() -> list[str]:
    """The generated pages that are missing or no longer what they are made from, by path in the repository."""
    return [
        str(path.relative_to(REPOSITORY))
        for path, text in pages().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def pages() -> dict[Path, str]:
    """Every generated page with its text."""
    schemas = {contracts.SCHEMAS / "programme" / name: text for name, text in schema_files().items()}
    docs = REPOSITORY / "docs"
    return {
        docs / "data-dictionary.md": data_dictionary(),
        docs / "dags.md": dag_page(),
        docs / "call-center.md": call_center_page(),
        **schemas,
    }


# ── the data dictionary ──────────────────────────────────────────────────────────────────────────────────────────


def data_dictionary() -> str:
    """Every table of the lake as Markdown: kind, grain, columns, and the tables it is made from."""
    tables, landed = contracts.lake(), contracts.landed()
    schemas = sorted({name.split(".")[0] for name in tables})
    lines = [
        _MADE,
        "# Data dictionary",
        "",
        f"The {len(tables)} tables of the lake and the {len(landed)} landed copies behind them, as `kanta query` sees",
        "them. Times are UTC; points and money are decimals. **Bold** columns are the key of a row; *personal* ones",
        "are never shown in messages and reports. *Made from* names the columns a value is worked out of,",
        "private steps looked through; what only joins or filters is not named.",
        "",
        "| kind | how a night writes it |",
        "|---|---|",
        *(f"| {kind} | {how} |" for kind, how in KINDS.items()),
        "",
        *(f"* [`{schema}`](#{schema}): {_listed(tables, schema)}" for schema in schemas),
        f"* [`landed`](#landed): {_listed(landed, 'landed')}",
        "",
    ]
    for schema in schemas:
        lines += [f"## {schema}", ""]
        for name, contract in tables.items():
            if name.split(".")[0] == schema:
                lines += _table(contract, contract.columns, _origin(name))
    lines += [
        "## landed",
        "",
        "Accepted rows as they came, one table for each landing dataset. All of them end with these columns:",
        "",
        *_columns(contracts.PROVENANCE, ("drop_id",)),
        "",
    ]
    for contract in landed.values():
        own = contract.columns[: -len(contracts.PROVENANCE)]
        lines += _table(contract, own, f"the drops' `{contract.dataset}`, by the rules of `{contract.path}`")
    return "\n".join(lines)


def _listed(tables: Iterable[str], schema: str) -> str:
    names = [name for name in tables if name.split(".")[0] == schema]
    return ", ".join(f"[{name.split('.')[1]}](#{name.replace('.', '')})" for name in names)


def _table(contract: Contract, columns: Sequence[Column], origin: str) -> list[str]:
    by = f"the month of {contract.partition}" if contract.by_month else contract.partition
    kind = f"{contract.kind}, partitioned by {by}" if by else contract.kind
    return [
        f"### {contract.name}",
        "",
        *([contract.description, ""] if contract.description else []),
        f"* **A row** is {contract.grain}. **Kind**: {kind}.",
        f"* **Made from** {origin}.",
        *(f"* **Check** ({check.severity}): {check.description or check.name}" for check in contract.checks),
        "",
        *_columns(columns, contract.key, _made_from(contract.name)),
        "",
    ]


def _made_from(table: str) -> dict[str, str]:
    """Of each column of a model, the columns it is made from, as text."""
    return {
        column: ", ".join(f"`{source}.{name}`" for source, name in sources)
        for column, sources in lineage.of_table(table).items()
    }


def _columns(columns: Iterable[Column], key: Sequence[str], made_from: Mapping[str, str] | None = None) -> list[str]:
    rows = []
    for column in columns:
        name = f"**{column.name}**" if column.name in key else column.name
        meaning = [column.description] if column.description else []
        meaning += [f"One of {', '.join(f'`{value}`' for value in column.allowed)}."] if column.allowed else []
        meaning += ["*Personal.*"] if column.personal else []
        origin = f" {made_from.get(column.name) or ''} |" if made_from else ""
        rows.append(f"| {name} | {column.type.lower()} | {' '.join(meaning).replace('|', '&#124;')} |{origin}")
    head = ["| column | type | meaning |", "|---|---|---|"]
    return [head[0] + " made from |", head[1] + "---|", *rows] if made_from else [*head, *rows]


def _origin(table: str) -> str:
    """What a table is made from: tables as its SQL says, the programme, and the module that writes it."""
    sources = sorted(_sources(table))
    found = [f"[{name}](#{name.replace('.', '')})" for name in sources if not name.startswith("programme.")]
    found += ["the programme"] if len(found) < len(sources) else []
    model = models.models().get(table)
    if model:
        return f"{', '.join(found)}, by `{model.path.relative_to(REPOSITORY)}`"
    return f"{', '.join(found) or 'what happens in the night'}; written by {_writers(table)}"


def _sources(table: str) -> set[str]:
    """The tables and programme relations at the ends of a table's SQL graph, private steps passed through."""
    seen, ends, waiting = set[str](), set[str](), [table]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name == table or name.split(".")[1].startswith("_"):
            waiting += [*models.graph().get(name, ()), *made_by_code().get(name, ())]
        else:
            ends.add(name)
    return ends


# ── what the code says: which module writes what, and what a private step made by code is made from ──────────────

#: The methods of a night that write a table.
_WRITES = ("append", "put")

_INSERT = re.compile(r"(?:insert into|create or replace table) (\w+\._\w+) (?:by name|as) select \* from (\w+\._\w+)")


def _writers(table: str) -> str:
    """The modules that write a table which has no model; where none names it, the package of its schema."""
    found = [str(path.relative_to(REPOSITORY)) for path, gains in _code().items() if table in gains]
    return ", ".join(f"`{module}`" for module in found or [f"kanta/{table.split('.')[0]}"])


@cache
def made_by_code() -> dict[str, set[str]]:
    """The tables and private steps that code fills, each with the private models it is filled from."""
    found: dict[str, set[str]] = {}
    for gains in _code().values():
        for name, steps in gains.items():
            found.setdefault(name, set()).update(steps)
    return found


@cache
def _code() -> dict[Path, dict[str, list[str]]]:
    """Each module of ``kanta/`` with the tables and steps it fills, and the private steps these are filled from."""
    return {path: _filled(path) for path in sorted((REPOSITORY / "kanta").rglob("*.py"))}


def _filled(path: Path) -> dict[str, list[str]]:
    """Said in one of three ways: ``put("table", "… step")``, ``{"table": "step"}``, ``insert into step … step``."""
    found: dict[str, list[str]] = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        pairs: list[tuple[ast.AST | None, list[ast.AST]]] = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _WRITES:
            pairs = [(first, [*rest]) for first, *rest in [node.args] if rest]
        elif isinstance(node, ast.Dict):
            pairs = [(key, [value]) for key, value in zip(node.keys, node.values, strict=True)]
        elif isinstance(node, ast.Constant) and (match := _INSERT.match(str(node.value))):
            found.setdefault(match[1], []).append(match[2])
        for first, rest in pairs:
            if isinstance(first, ast.Constant) and first.value in contracts.lake():
                found.setdefault(first.value, []).extend(_steps(rest))
    return {name: steps for name, steps in found.items() if steps}


def _steps(nodes: Iterable[ast.AST]) -> list[str]:
    """The private steps that literals name."""
    texts = [str(part.value) for node in nodes for part in ast.walk(node) if isinstance(part, ast.Constant)]
    return [name for text in texts for name in re.findall(r"\b[a-z]+\._[a-z_]+\b", text)]


# ── the call center ──────────────────────────────────────────────────────────────────────────────────────────────


def call_center_page() -> str:
    """The states of a hold as a picture, why events are refused, and what a fraud rule's condition may ask."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for (state, event), after in holds.TRANSITIONS.items():
        arrows.setdefault((state, after), []).append(event)
    lines = [_MADE, "# Call center", "", "## Holds", ""]
    lines += ["What may follow what, for each order and hold code; nothing else can happen.", ""]
    lines += ["```mermaid", "stateDiagram-v2", "    [*] --> none"]
    lines += [f"    {state} --> {after}: {', '.join(events)}" for (state, after), events in arrows.items()]
    lines += ["```", "", "An event that may not happen stands in `call_center.hold_events` with its reason:", ""]
    lines += ["| reason | meaning |", "|---|---|"]
    lines += [f"| {reason} | {meaning} |" for reason, meaning in holds.REASONS.items()]
    lines += ["", "## Conditions of fraud rules", ""]
    lines += [
        "`when` may use `and`, `or`, `not`, `in`, comparisons, `+ - * / %` and these fields; dates are written as",
        "`'2017-01-31'`. Rules of level `line` see the line's own columns, also where the order has one of that name.",
        "Empty and divided by zero are unknown, and only what is true holds.",
        "",
        "| field | type | levels |",
        "|---|---|---|",
    ]
    order, line = when.fields("order"), when.fields("line")
    lines += [
        f"| {name} | {type_.lower()} | {'order, line' if name in order else 'line'} |" for name, type_ in line.items()
    ]
    return "\n".join(lines) + "\n"


# ── the DAGs ─────────────────────────────────────────────────────────────────────────────────────────────────────


def dag_page() -> str:
    """Every DAG as Markdown: what its docstring says, when it runs, its tasks, and how the DAGs hang together."""
    dags = _in_order([_Dag(path) for path in sorted((REPOSITORY / "dags").glob("*.py"))])
    arrows = [
        f"    {maker.dag_id} -- {asset} --> {dag.dag_id}"
        for dag in dags
        for asset in dag.waits_for
        for maker in dags
        if asset in maker.makes
    ]
    lines = [_MADE, "# DAGs", "", "Each arrow is an asset; its partitions are business dates.", ""]
    lines += ["```mermaid", "flowchart LR", *arrows, "```", ""]
    for dag in dags:
        lines += [f"## {dag.dag_id}", "", dag.about, ""]
        lines += [f"Schedule: {dag.schedule}. Tasks: {', '.join(f'`{task}`' for task in dag.tasks)}.", ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _in_order(dags: list[_Dag]) -> list[_Dag]:
    """Each DAG after those whose assets it waits for."""
    makers = {asset: dag for dag in dags for asset in dag.makes}
    waits = {dag: [makers[asset] for asset in dag.waits_for if asset in makers] for dag in dags}
    return list(TopologicalSorter(waits).static_order())


class _Dag:
    """One DAG file, read from its text."""

    def __init__(self, path: Path) -> None:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        (dag,) = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "DAG"]
        self.dag_id = str(ast.literal_eval(dag.args[0]))
        self.about = (ast.get_docstring(tree) or "").strip()
        schedule = next(keyword.value for keyword in dag.keywords if keyword.arg == "schedule")
        self.waits_for = _assets(schedule)
        self.schedule = _schedule(schedule, self.waits_for)
        self.tasks: list[str] = []
        self.makes: list[str] = []
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            self._take(function)

    def _take(self, function: ast.FunctionDef) -> None:
        for decorator in function.decorator_list:
            options = decorator.keywords if isinstance(decorator, ast.Call) else []
            given = {option.arg: option.value for option in options}
            self.tasks.append(str(ast.literal_eval(given["task_id"])) if "task_id" in given else function.name)
            self.makes += _assets(given["outlets"]) if "outlets" in given else []


def _schedule(node: ast.expr, assets: Sequence[str]) -> str:
    """When a DAG runs, in words as far as they are known, else as the file says it."""
    if assets:
        return f"when {' and '.join(f'`{asset}`' for asset in assets)} {'have' if assets[1:] else 'has'} the date"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "nightly":
        return "every midnight of `time_zone`, for the business date that just ended"
    return f"`{ast.unparse(node)}`"


def _assets(node: ast.AST) -> list[str]:
    """The assets an expression names, by name."""
    found = [
        _asset_names()[part.id] for part in ast.walk(node) if isinstance(part, ast.Name) if part.id in _asset_names()
    ]
    return sorted(found)


@cache
def _asset_names() -> dict[str, str]:
    """The constants of ``kanta/orchestration.py`` that are assets: ``{"POS_DROPS": "pos_drops"}``."""
    tree = ast.parse((REPOSITORY / "kanta" / "orchestration.py").read_text(encoding="utf-8"))
    return {
        node.targets[0].id: str(ast.literal_eval(node.value.args[0]))
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Name)
        and node.value.func.id == "Asset"
    }


if __name__ == "__main__":
    sys.exit(main())

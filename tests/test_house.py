"""The house keeps its own rules: models, contracts, modules, pages, Makefile and commands fit each other."""

from __future__ import annotations

import argparse
import ast
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp
from sqlglot.optimizer.scope import traverse_scope

from kanta import cli, contracts, documents, models
from kanta.home import REPOSITORY
from kanta.models import Model
from kanta.programme.relations import RELATIONS

MODELS = models.models()
PUBLIC = {name: model for name, model in MODELS.items() if not model.private}

#: Private steps that code makes: what the kernel returns, what a pass leaves to the next, what is asked for.
MADE_BY_CODE = {
    "call_center._folded_events", "call_center._new_fraud_matches", "call_center._rule_hits",
    "customers._checked_attributes", "customers._read_values", "customers._time_zones",
    "distribution._offline", "distribution._request",
    "loyalty._account_slices", "loyalty._balances_carried", "loyalty._capped_tier_points", "loyalty._credited",
    "loyalty._folded_entries", "loyalty._folded_events", "loyalty._folded_lots", "loyalty._folded_pieces",
    "loyalty._joined", "loyalty._joined_nodes", "loyalty._lots_carried", "loyalty._replaced",
    "loyalty._stays", "loyalty._uncovered",
    "ops._trading_days", "sales._refused", "sales._time_zones",
    "rfm._bounds", "rfm._cuts", "rfm._imagined", "rfm._lifetime_amounts", "rfm._lifetime_expectations", "rfm._scored",
}  # fmt: skip

#: What gives another answer when asked again.
UNSTEADY = re.compile(
    r"now|today|random|rand|setseed|uuid\w*|gen_random_uuid|current_\w+|local_?time\w*|get_current_\w+|transaction_timestamp"
)

PROSE = [REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def parsed(model: Model) -> exp.Query:
    (statement,) = [found for found in sqlglot.parse(model.sql, dialect="duckdb") if found]
    assert isinstance(statement, exp.Query), f"{model.path} is no SELECT"
    return statement


# ── models ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_there_are_models_public_and_private():
    assert len(MODELS) > 80
    assert 10 < len(PUBLIC) < len(MODELS)


#: Columns of up to 18 digits that amounts are multiplied by.
FACTORS = {"rate", "tender_rate", "value", "value_per_point"}
WIDE = {"hugeint", "double", "decimal(38, 2)", "decimal(38, 4)", "decimal(38, 6)", "decimal(38, 8)"}


def narrow_products(statement: exp.Query) -> list[str]:
    """Products with a rate or value in which neither side is wide: of two decimals of 18 digits the engine makes one of
    18, so that 50,000.00 times 27,000 stops the night."""
    found = []
    for product in statement.find_all(exp.Mul):
        sides = product.this, product.expression
        factors = any(isinstance(side, exp.Column) and side.name in FACTORS for side in sides)
        casts = [cast for side in sides for cast in [side, *side.find_all(exp.Cast)] if isinstance(cast, exp.Cast)]
        small = any(isinstance(side, exp.Literal) and float(side.name) < 10_000 for side in sides)
        if (
            factors
            and not small
            and not WIDE & {cast.to.sql("duckdb").lower().replace("int128", "hugeint") for cast in casts}
        ):
            found.append(product.sql("duckdb"))
    return found


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_what_is_multiplied_by_a_rate_has_room_for_the_product(model: Model):
    assert not narrow_products(parsed(model))


def test_a_narrow_product_is_seen():
    (statement,) = sqlglot.parse(
        "select a.amount * b.rate, cast(a.amount as decimal(38, 2)) * b.rate", dialect="duckdb"
    )
    assert narrow_products(statement) == ["a.amount * b.rate"]


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_model_is_one_select_that_says_what_it_is_and_asks_nothing_of_the_clock_or_of_chance(model: Model):
    statement = parsed(model)
    assert not forbidden(statement)
    assert set(model.parameters) <= models.PARAMETERS
    assert model.about, "the file begins with a comment that says what a row is"


def forbidden(statement: exp.Query) -> list[str]:
    """What a model must not do: ask the clock or chance, read files, swallow what cannot be cast."""
    functions = [f.name if isinstance(f, exp.Anonymous) else f.sql_name() for f in statement.find_all(exp.Func)]
    found = [name.lower() for name in functions]
    samples = ["tablesample" for _ in statement.find_all(exp.TableSample)]
    return samples + [
        name for name in found if UNSTEADY.fullmatch(name) or name.startswith("read_") or name == "try_cast"
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "select now()", "select random()", "select uuid()", "select current_date", "select current_timestamp",
        "select today()", "select gen_random_uuid()", "select get_current_time()", "select try_cast('1' as integer)",
        "select * from read_parquet('file')", "select * from lots using sample 3",
    ],
)  # fmt: skip
def test_what_is_forbidden_in_a_model_is_seen(sql: str):
    (statement,) = sqlglot.parse(sql, dialect="duckdb")
    assert forbidden(statement)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_what_a_model_reads_exists(model: Model):
    known = {*contracts.lake(), *contracts.landed(), *RELATIONS, *MODELS, *MADE_BY_CODE}
    assert not set(model.inputs) - known
    if not model.name.startswith("distribution."):
        assert model.inputs or "from (\n    values\n" in model.sql  # what is written out reads nothing


def test_the_steps_that_code_makes_are_all_read_and_have_no_file():
    read = {name for model in MODELS.values() for name in model.inputs}
    assert read >= MADE_BY_CODE
    assert not MADE_BY_CODE & set(MODELS)


def test_no_model_reads_itself_in_a_circle_but_from_what_was_kept():
    """Stored tables may be read while they are made anew; a view or private step may not lead back to itself."""
    lake = contracts.lake()
    made_anew = [name for name, model in MODELS.items() if model.private or lake[name].kind == "view"]
    assert models.in_order(made_anew)


# ── models and contracts ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("model", PUBLIC.values(), ids=PUBLIC)
def test_a_public_model_gives_the_columns_of_its_contract_in_its_order(model: Model):
    contract = contracts.lake()[model.name]
    assert tuple(_columns(parsed(model))) == contract.names


def _columns(query: exp.Query, steps: dict[str, exp.Query] | None = None) -> list[str]:
    """The columns a query ends with; ``select * from step`` has those of the step."""
    known = {**(steps or {}), **{step.alias: step.this for step in query.ctes}}
    first = query
    while isinstance(first, exp.SetOperation):
        first = first.left
    if first.named_selects != ["*"]:
        return list(first.named_selects)
    source = first.args["from_"].this
    if not source.db:
        return _columns(known[source.name], known)
    table = f"{source.db}.{source.name}"
    kept = contracts.lake().get(table) or contracts.landed().get(table)
    return list(kept.names) if kept else _columns(parsed(MODELS[table]))


def test_every_view_has_its_model_and_every_stored_table_a_model_or_a_writer():
    lake = contracts.lake()
    views = {name for name, contract in lake.items() if contract.kind == "view"}
    assert views
    assert views <= set(PUBLIC)
    stored = set(lake) - set(PUBLIC)
    assert stored
    sessions = (REPOSITORY / "kanta" / "distribution" / "sessions.py").read_text(encoding="utf-8")
    kept = {f"distribution.{name}" for name in re.findall(r'_added\["(\w+)"\]', sessions)}
    named = {name for name in stored if name in documents.made_by_code()} | kept
    assert named == stored


# ── placeholder customers ───────────────────────────────────────────────────────────────────────────────────────

#: Where a customer's id stands as a till, an order or a card wrote it, be it a placeholder.
AS_WRITTEN = {"sales.transactions", "landed.transactions", "landed.orders", "landed.loyalty_cards"}

#: What makes of it the customer that all else sees, or asks which ids are others than before.
SEE_TO_IT = {
    "customers.receipts", "reference.loyalty_cards", "call_center._known_orders", "call_center._changed_orders",
    "loyalty._card_changes",
}  # fmt: skip

#: An id in any case of letters and any number of zeros; ``{0}``: the column.
FOLD = "case when ltrim(trim({0}), '0') = '' then '0' else lower(trim({0})) end"


def as_written(sql: str) -> set[str]:
    """The tables of which a statement reads a customer's id as it was written; ``*`` reads it, too."""
    found = set()
    for scope in traverse_scope(sqlglot.parse_one(sql, dialect="duckdb")):
        sources = {name: f"{s.db}.{s.name}" for name, s in scope.sources.items() if isinstance(s, exp.Table) and s.db}
        read = {column.table for column in scope.columns if column.name == "customer_id"}
        read |= {
            "" for join in scope.find_all(exp.Join) for key in join.args.get("using") or [] if key.name == "customer_id"
        }
        stars = [star.parent for star in scope.find_all(exp.Star) if not isinstance(star.parent, exp.Count)]
        read |= {above.table if isinstance(above, exp.Column) else "" for above in stars}
        found |= {table for name, table in sources.items() if name in read or "" in read}
    return found & AS_WRITTEN


@pytest.mark.parametrize(
    "sql",
    [
        "select customer_id from sales.transactions",
        "with sold as (select * from sales.transactions) select channel_id from sold",
        "select 1 as one from landed.orders as orders where orders.customer_id is not null",
        "select a.order_id from landed.orders as a inner join reference.loyalty_cards as b using (customer_id)",
    ],
)
def test_an_id_as_it_was_written_is_seen_wherever_it_stands(sql: str):
    assert as_written(sql)


def test_no_model_outside_sales_reads_a_customers_id_as_it_was_written():
    found = {model.name: tables for model in MODELS.values() if (tables := as_written(model.sql))}
    assert set(found) >= SEE_TO_IT
    assert {name for name in found if not name.startswith("sales.")} == SEE_TO_IT


def test_no_statement_in_code_reads_a_customers_id_as_it_was_written():
    erasure = {"customers/erasure.py", "customers/__init__.py"}  # what an id concerns must go, whoever it stands for
    statements = {
        (path.relative_to(REPOSITORY / "kanta").as_posix(), text)
        for path in sorted((REPOSITORY / "kanta").rglob("*.py"))
        for text in _texts(path)
        if re.search(r"\bfrom\b|\bjoin\b", text)
    }
    assert len(statements) > 100
    naming = {(path, text) for path, text in statements if "customer_id" in text and path not in erasure}
    assert naming
    assert [found for found in naming if any(re.search(rf"\b{re.escape(t)}\b", found[1]) for t in AS_WRITTEN)] == []


def _texts(path: Path) -> Iterator[str]:
    """The texts of a module, those with values in them without these."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_whoever_compares_with_placeholders_folds_an_id_the_same_way():
    folded = [
        name for name, model in MODELS.items() if "folded_id" in model.sql and name != "sales._changed_placeholders"
    ]
    folded.remove("sales._placeholders")
    assert len(folded) >= 6
    for name in folded:
        sql = " ".join(MODELS[name].sql.split())
        columns = set(re.findall(r"= '' then '0' else lower\(trim\(([\w.]+)\)\)", sql))
        assert columns, name
        assert all(FOLD.format(column) in sql for column in columns), name


# ── the house itself ─────────────────────────────────────────────────────────────────────────────────────────────


def test_no_module_is_a_drawer():
    modules = [path for folder in ("kanta", "scripts", "dags", "tests") for path in (REPOSITORY / folder).rglob("*.py")]
    assert len(modules) > 50
    assert not [path for path in modules if re.search(r"util|common|helper|misc", path.stem)]


def test_the_generated_pages_are_fresh():
    assert len(documents.pages()) >= 4
    assert documents.check() == [], f"next: {documents.RENEW}"


def test_every_table_and_every_dag_has_its_place_in_the_generated_pages():
    dictionary, dags = documents.data_dictionary(), documents.dag_page()
    tables = [*contracts.lake(), *contracts.landed()]
    files = sorted((REPOSITORY / "dags").glob("*.py"))
    assert len(tables) > 50
    assert len(files) >= 9
    assert [name for name in tables if f"\n### {name}\n" not in dictionary] == []
    assert [file.stem for file in files if f"\n## {file.stem}\n" not in dags] == []
    assert "written by ." not in dictionary


def test_a_stale_page_is_named_and_fails_the_check(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(documents, "REPOSITORY", tmp_path)
    monkeypatch.setattr(documents, "pages", lambda: {tmp_path / "page.md": "new\n"})
    (tmp_path / "page.md").write_text("old\n", encoding="utf-8")
    assert documents.main(["--check"]) == 1
    said = capsys.readouterr().err
    assert "page.md" in said
    assert documents.RENEW in said
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == "old\n"
    assert documents.main([]) == 0
    assert documents.main(["--check"]) == 0


def test_make_help_lists_every_target():
    targets = make_targets()
    phony = re.search(r"^\.PHONY: (.*)$", _makefile(), re.MULTILINE)
    assert len(targets) >= 8
    assert phony
    assert sorted(phony[1].split()) == sorted(targets)
    listed = subprocess.run(["make", "--no-print-directory", "help"], cwd=REPOSITORY, capture_output=True, text=True)
    assert sorted(line.split()[1] for line in listed.stdout.splitlines()) == sorted(targets), listed.stderr


def make_targets() -> list[str]:
    return re.findall(r"^([a-z][a-z-]*):", _makefile(), re.MULTILINE)


def _makefile() -> str:
    return (REPOSITORY / "Makefile").read_text(encoding="utf-8")


# ── commands ─────────────────────────────────────────────────────────────────────────────────────────────────────


def commands(
    parser: argparse.ArgumentParser, name: str = "kanta"
) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Each command below a parser: its name, the line its parent's help has on it, its own parser."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            about = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for key, found in action.choices.items():
                yield f"{name} {key}", about.get(key, ""), found
                yield from commands(found, f"{name} {key}")


def test_each_command_says_what_it_does():
    found = list(commands(cli._parser()))
    assert len(found) >= 15
    assert [name for name, about, parser in found if not about or not parser.description] == []
    assert [name for name, _, parser in found if "usage:" not in parser.format_help()] == []


def written_commands(text: str, program: str) -> list[str]:
    """The commands a page shows: lines of its code blocks and what stands in backticks, comments taken off."""
    lines = [line for block in re.findall(r"```\w*\n(.*?)```", text, re.DOTALL) for line in block.splitlines()]
    lines += re.findall(rf"`({program} [^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [line for line in lines if line.startswith(f"{program} ")]


def test_every_command_in_the_hand_written_pages_can_be_given():
    written = {
        (path.name, line) for path in PROSE for line in written_commands(path.read_text(encoding="utf-8"), "kanta")
    }
    assert len(written) > 20
    refused = []
    for page, line in sorted(written):
        parser = cli._parser()
        try:
            parser.parse_args(shlex.split(line, comments=True)[1:])
        except SystemExit as end:
            # A command's name alone, as prose has it, lacks its arguments; unknown names are refused by the parser.
            bare = {name for name, _, _ in commands(parser)}
            if end.code and line not in bare:
                refused.append((page, line))
    assert refused == []


def test_every_make_target_in_the_hand_written_pages_exists():
    lines = [line for path in PROSE for line in written_commands(path.read_text(encoding="utf-8"), "make")]
    named = {line.split()[1] for line in lines}
    assert {"demo", "test"} <= named
    assert named <= set(make_targets())


def test_every_link_between_pages_leads_somewhere():
    links = {
        (path, target)
        for path in PROSE
        for target in re.findall(r"\]\(([^)#\s]+)\)", path.read_text(encoding="utf-8"))
        if not target.startswith("https://")
    }
    assert len(links) > 5
    assert [(path.name, target) for path, target in sorted(links) if not (path.parent / target).exists()] == []


def test_every_file_that_a_decision_names_exists():
    pages = sorted((REPOSITORY / "docs" / "decisions").glob("*.md"))
    named = {
        (page.name, name)
        for page in pages
        for name in re.findall(r"`((?:kanta|transforms|schemas|dags)/[\w/.]+\.\w+)`", page.read_text(encoding="utf-8"))
    }
    assert len(named) > 5
    assert [(page, name) for page, name in sorted(named) if not Path(REPOSITORY / name).exists()] == []


def test_decisions_are_numbered_and_each_says_why_what_and_what_follows():
    pages = sorted((REPOSITORY / "docs" / "decisions").glob("*.md"))
    assert pages
    assert [page.name[:4] for page in pages] == [f"{number:04d}" for number in range(1, len(pages) + 1)]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert [part for part in ("**Context.**", "**Decision.**", "**Consequence.**") if part not in text] == [], (
            page.name
        )

"""``kanta verify``: the ledger's invariants (spec 2-loyalty section 9) and the lake's own integrity.

Each check is a SELECT in ``transforms/audits`` that returns what is wrong; none is right.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kanta import models
from kanta.engine import Engine, Parameters
from kanta.errors import KantaError
from kanta.home import Home
from kanta.lake import Lake, State
from kanta.night import Night
from kanta.reading import as_table

#: How many offending rows are shown of each check.
SHOWN = 5


@dataclass(frozen=True)
class Checked:
    """One check's result: how many rows break it, and the first of them."""

    name: str
    about: str
    breaches: int
    columns: tuple[str, ...] = ()
    examples: tuple[tuple[Any, ...], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def audits() -> list[models.Model]:
    """The checks in their order."""
    return [model for name, model in sorted(models.models().items()) if name.startswith("audits.")]


def verify(home: Home, *, everything: bool = False) -> list[Checked]:
    """Runs every check over the published lake; ``everything`` also replays the facts and proves the stores.

    Where files are gone or broken, only that is told. Raises KantaError when nothing is published yet, because a check
    of nothing would find nothing.
    """
    lake = Lake(home)
    try:
        state = lake.published()
    except KantaError as error:
        about = "The lake: every record and every file of a kept night is there and as it was written."
        broken = (("", error.where, error.what),)
        return [Checked("lake_files_are_whole", about, 1, ("table", "file", "error"), broken)]
    day = state.night
    results = [_files(lake, state), _iceberg(lake, state)]
    if results[0].breaches:
        return results  # the others read these files
    with Engine(lake.root / "work", shared=True) as engine:
        night = Night(home, lake, engine, "verify", state, day)
        night.attach("sales.documents")
        first = engine.value("select min(business_date) from sales.documents")
        night.programme_relations(first or night.business_date)
        for audit in audits():
            night.attach(*(table for table in audit.inputs if not table.startswith("programme.")))
            results.append(_run(engine, audit, night.parameters))
    if everything:
        from kanta import replay

        results.append(replay.replay(home, dry_run=True))
        results.append(_stores(home))
    return results


def _stores(home: Home) -> Checked:
    """Each store holds what the lake says, by whatever packages (``kanta distribution prove``)."""
    from kanta import distribution

    wrong = [proved for proved in distribution.prove(home) if proved.differences]
    examples = tuple((proved.line().strip(),) for proved in wrong[:SHOWN])
    about = "9: each store holds what the lake says, by whatever packages."
    return Checked("9_stores_hold_what_the_lake_says", about, len(wrong), ("store",), examples)


def _run(engine: Engine, audit: models.Model, parameters: Parameters) -> Checked:
    breaches = engine.value(f"select count(*) from ({audit.sql}) as breaches", parameters)
    if not breaches:
        return Checked(audit.name.removeprefix("audits._"), audit.about, 0)
    result = engine.execute(f"select * from ({audit.sql}) as breaches order by all limit {SHOWN}", parameters)
    columns = tuple(column[0] for column in result.description or [])
    return Checked(audit.name.removeprefix("audits._"), audit.about, breaches, columns, tuple(result.fetchall()))


def _files(lake: Lake, state: State) -> Checked:
    """Every record, and every file of a kept version, is there and as it was written (SHA-256).

    Of files written before checksums were kept only the footer is read; how many there are is said.
    """
    wrong: list[tuple[str, str, str]] = []
    versions = _versions(lake, state, wrong)
    wrong += [(table, str(file), _WRITTEN) for table, file in lake.changed_files(versions) if file.exists()]
    of_files = {file: table for table, version in versions for file in _listed(lake, table, version)}
    wrong += [(table, str(file), "it is not there") for file, table in of_files.items() if not file.exists()]
    old = sorted(file for file in lake.without_checksum(versions) if file.exists())
    wrong += [(of_files[file], str(file), error) for file in old if (error := _broken(file))]
    about = "The lake: every record and every file of a kept night is there and as it was written."
    if old:
        about += f" ({len(old):,} of {len(of_files):,} files are of before checksums were kept: only their footers.)"
    return Checked("lake_files_are_whole", about, len(wrong), ("table", "file", "error"), tuple(wrong[:SHOWN]))


_WRITTEN = "it is not as it was written: its checksum does not match"


def _versions(lake: Lake, state: State, wrong: list[tuple[str, str, str]]) -> list[tuple[str, str]]:
    """The versions of tables that the head and kept publications name; what cannot be read goes into ``wrong``."""
    states = [state]
    for path in [lake.head_file, *lake.publications()]:
        try:
            states += [lake.state_of(path)] if path.exists() else []
        except KantaError as error:
            wrong.append(("", str(path), error.what))
    found = []
    for table, version in sorted({item for each in states for item in each.tables.items()}):
        try:
            _listed(lake, table, version)
            lake.changed_files([(table, version)], ())
        except KantaError as error:
            wrong.append((table, error.where, error.what))
        else:
            found.append((table, version))
    return found


def _listed(lake: Lake, table: str, version: str) -> list[Path]:
    return lake.listed(table, State(tables={table: version}))


def _broken(file: Path) -> str:
    """Why a file's footer cannot be read; empty when it can."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        pq.read_metadata(file)
    except (OSError, pa.ArrowInvalid) as error:
        return str(error).splitlines()[0]
    return ""


def _iceberg(lake: Lake, state: State) -> Checked:
    """Iceberg's snapshot of every published table holds the very files readers of this lake see."""
    wrong: list[tuple[str, str, str]] = []
    if lake.moved(state):
        wrong.append(("all", state.place, "Iceberg still names where the lake lay; kanta maintenance tells it anew"))
    for table, snapshot in sorted(state.snapshots.items()) if not wrong else ():
        try:
            ours, theirs = set(lake.listed(table, state)), set(lake.iceberg_files(table, snapshot))
        except Exception as error:  # each of its formats fails in its own way
            wrong.append(
                (table, str(lake.directory(table) / "metadata"), str(error).splitlines()[0][:200] or repr(error))
            )
            continue
        wrong += [(table, str(file), "not in Iceberg") for file in sorted(ours - theirs)]
        wrong += [(table, str(file), "only in Iceberg") for file in sorted(theirs - ours)]
    return Checked(
        "iceberg_holds_the_same_files",
        "The lake: Iceberg's snapshot of every published table holds the files that readers see.",
        len(wrong) + len(state.tables.keys() ^ state.snapshots.keys()),
        ("table", "file", "difference"),
        tuple(wrong[:SHOWN]),
    )


def text(results: list[Checked]) -> str:
    """The results as printed: one line for each check, the first offending rows below it."""
    lines = []
    for result in results:
        lines.append(f"{'ok  ' if not result.breaches else 'FAIL'}  {result.breaches:>6}  {result.about}")
        if result.breaches:
            lines.append(as_table(list(result.columns), list(result.examples)))
    breached = sum(bool(result.breaches) for result in results)
    lines.append(f"{len(results)} checks, {breached} breached.")
    if breached:
        lines.append(
            "next: kanta explain entry ID shows where a point comes from; kanta replay --dry-run says what differs."
        )
    return "\n".join(lines)

"""The steps of sessions that still matter, kept beside what stores were sent (``lake/sent/steps.parquet``).

A line has a session for each night there ever was; what comes next depends on a few of them. So the steps of those are
kept, with the names of the table's files they come from, and a night reads them and the files that are new. Files that
are gone (maintenance merged them, a lake was restored) make what is kept worthless: all is read once more.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from kanta import checksums
from kanta.contracts import contract_of
from kanta.engine import file_literal
from kanta.night import Night

_STEPS, _FILES = "distribution.sessions", b"kanta.files"


def attach(stage: Night) -> bool:
    """Makes ``distribution.sessions`` readable with the steps that matter; gives whether there are new ones to keep."""
    files, kept = _files(stage), _kept(stage)
    known = _known(kept)
    if not known or not known <= files.keys():
        stage.attach(_STEPS)
        return bool(files)
    new = [path for name, path in files.items() if name not in known]
    stage.substitute(_STEPS, _select([kept, *new]))
    return bool(new)


def attach_all(stage: Night) -> None:
    """Makes all steps there ever were readable in their place."""
    if files := list(_files(stage).values()):  # a lake made anew has none, though stores answer of the one before
        stage.substitute(_STEPS, _select(files))


def keep(stage: Night, sessions: str) -> None:
    """Keeps the steps of these sessions (a relation) for the next time. What is kept is what is committed."""
    steps = stage.engine.arrow(f"select * from {_STEPS} semi join {sessions} using (database, job, sequence)")
    kept = _kept(stage)
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_name(f"{kept.name}.part")
    pq.write_table(steps.replace_schema_metadata({_FILES: json.dumps(sorted(_files(stage)))}), part)
    checksums.unseal(kept)
    part.replace(kept)
    checksums.seal(kept)


def _kept(stage: Night) -> Path:
    return stage.lake.root / "sent" / "steps.parquet"


def _files(stage: Night) -> dict[str, Path]:
    """The table's files by their names below the lake."""
    return {str(path.relative_to(stage.lake.root)): path for path in stage.lake.files(_STEPS, stage.state)}


def _known(kept: Path) -> set[str]:
    """The files whose steps are kept; none when what is kept cannot be read."""
    try:
        if not checksums.intact(kept):
            return set()
        found = json.loads((pq.read_schema(kept).metadata or {})[_FILES])
    except (OSError, KeyError, ValueError, pa.ArrowInvalid):
        return set()
    return {str(name) for name in found}


def _select(files: Sequence[Path]) -> str:
    columns = ", ".join(f'cast("{c.name}" as {c.type}) as "{c.name}"' for c in contract_of(_STEPS).columns)
    listed = ", ".join(map(file_literal, files))
    return f"select {columns} from read_parquet([{listed}], hive_partitioning = false)"

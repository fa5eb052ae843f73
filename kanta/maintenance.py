"""Maintenance: merges small files, expires what no kept publication reads, removes what nothing points at."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import chain
from pathlib import Path

from kanta import customers
from kanta.engine import Engine, remove_dead_spills
from kanta.home import Home
from kanta.lake import Lake, partition_of
from kanta.night import Night
from kanta.reading import refresh_analysts_file


def run(home: Home, *, keep: int = 30) -> dict[str, int]:
    """Does all of it; returns what was done, counted.

    The last ``keep`` publications stay readable with ``--as-of``, and the last one of each month for good.

    Readers notice nothing: compaction ends in a publication of the same night with the same rows.
    """
    lake = Lake(home)
    with lake.writing():
        head = lake.recover()
        if lake.moved(head) and head.of_the_night() == lake.published().of_the_night():
            lake.publish(head.night)
        remove_dead_spills(lake.root / "work")
        compacted = _compact(home, lake)
        dropped = _drop_publications(lake, keep)
        expired, removed = _expire(lake)
    return {
        "partitions compacted": compacted,
        "publications dropped": dropped,
        "snapshots expired": expired,
        "files removed": removed,
    }


def _compact(home: Home, lake: Lake) -> int:
    """Rewrites each partition that lies in several files as one file."""
    head = lake.recover()
    if head.of_the_night() != lake.published().of_the_night() or not head.business_date:
        return 0  # a night is half-way: what it has written is its own
    done = 0
    with Engine(lake.root / "work") as engine:
        night = Night(home, lake, engine, "maintenance", head, head.business_date)
        done += customers.forget_superseded(night)
        for table in sorted(head.tables):
            files = lake.listed(table, night.state)
            counts = Counter(partition_of(file) for file in files)
            several = {partition for partition, number in counts.items() if number > 1 and partition}
            if several:
                lake.files(table, night.state)
                night.merge(table, [file for file in files if partition_of(file) in several])
                done += len(several)
        if done:
            lake.check_what_was_read()  # what was changed would else be written anew, with a checksum that is right
            lake.move_head(replace(night.state, seq=night.seq))
            lake.publish(head.business_date)
            refresh_analysts_file(home)
    return done


def _drop_publications(lake: Lake, keep: int) -> int:
    """Drops all but the newest and each month's last; returns how many."""
    publications = lake.publications()
    month_ends = {lake.state_of(path).night.isoformat()[:7]: path for path in publications}  # the last one stays
    old = [path for path in publications[: -max(keep, 1)] if path not in month_ends.values()]
    for path in old:
        path.unlink()
    return len(old)


def _expire(lake: Lake) -> tuple[int, int]:
    """Expires snapshots that no publication names, then removes files that neither they nor a kept version name."""
    states = [lake.head(), *(lake.state_of(path) for path in lake.publications())]
    expired = removed = 0
    for table in sorted({table for state in states for table in state.tables}):
        wanted = {file for state in states for file in lake.listed(table, state)}
        wanted |= {lake.version_file(table, state.tables[table]) for state in states if table in state.tables}
        kept = {state.snapshots[table] for state in states if table in state.snapshots and not lake.moved(state)}
        if kept:
            loaded = lake.catalog.load_table(table)
            known = {snapshot.snapshot_id for snapshot in loaded.snapshots()}
            old = sorted(known - kept - {loaded.metadata.current_snapshot_id})
            if old:
                loaded.maintenance.expire_snapshots().by_ids(old).commit()
                loaded = lake.catalog.load_table(table)
                expired += len(old)
            for snapshot in loaded.snapshots():
                wanted.add(lake.local(snapshot.manifest_list))
                wanted.update(lake.local(manifest.manifest_path) for manifest in snapshot.manifests(loaded.io))
        removed += _remove_leftovers(lake.directory(table), wanted)
    return expired, removed


def _remove_leftovers(directory: Path, wanted: set[Path]) -> int:
    removed = 0
    found = (directory.glob(pattern) for pattern in ("data/**/*.parquet", "metadata/*.avro", "versions/*"))
    for file in chain.from_iterable(found):
        if file not in wanted:
            file.unlink()
            removed += 1
    for folder in sorted((directory / "data").rglob("*"), reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return removed

"""How many lines of CSV land in a second, once Python and its libraries are loaded: a year of each store as one drop.

    python bench/feed.py --out DIR && python bench/landing.py --feed DIR

1.78 million rows of 457 drops, so that what is measured is rows and not the 38,000 drops they came in; beside them, in
the same run, DuckDB reading the same files with every column as text and counting.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import resource
import shutil
import time
from collections import defaultdict
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb

from kanta import night
from kanta.home import Home

DAY = date(2017, 12, 31)
#: The business date of a receipt, its fifth column: that of the one drop, which may bring none of later ones.
DATED = re.compile(rb"(?m)^((?:[^,\n]*,){4})\d{4}-\d\d-\d\d,")


def gather(feed: Path, landing: Path) -> int:
    """Each store's drops as one; returns their rows, headers left out."""
    stores = defaultdict(list)
    for folder in sorted(feed.glob("pos/*/*/")):
        stores[folder.name].append(folder)
    rows = 0
    for store, folders in stores.items():
        target = landing / "pos" / str(DAY) / store
        target.mkdir(parents=True)
        files, amount = [], Decimal(0)
        for name in ("transactions.csv", "lines.csv", "tenders.csv"):
            parts = [path.read_bytes().split(b"\n", 1) for folder in folders if (path := folder / name).exists()]
            if not parts:
                continue
            body = b"".join(lines for _, lines in parts)
            if name == "transactions.csv":
                body = DATED.sub(rb"\g<1>" + str(DAY).encode() + b",", body)
            content = parts[0][0] + b"\n" + body
            (target / name).write_bytes(content)
            digest = hashlib.sha256(content).hexdigest()
            files.append({"name": name, "rows": body.count(b"\n"), "sha256": digest})
        for folder in folders:
            amount += Decimal(json.loads((folder / "control.json").read_bytes())["totals"]["net_amount"])
        totals = {"transactions": files[0]["rows"], "net_amount": str(amount)}
        control = {"feed": "pos", "business_date": str(DAY), "source": store, "revision": 1}
        (target / "control.json").write_text(json.dumps({**control, "files": files, "totals": totals}))
        rows += sum(int(file["rows"]) for file in files)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--feed", type=Path, required=True, help="the folder bench/feed.py made")
    feed = parser.parse_args().feed.resolve()
    home = Home(feed / "whole_drops")
    shutil.rmtree(home.root, ignore_errors=True)
    shutil.copytree(feed / "programme", home.root / "programme")
    rows = gather(feed / "landing", home.landing)
    night.run_stage(home, "ingest_hq", DAY)  # a night's libraries are loaded now
    begun, cpu = time.perf_counter(), time.process_time()
    log = night.run_stage(home, "ingest_pos", DAY)
    taken, used = time.perf_counter() - begun, time.process_time() - cpu
    if (log["rows_in"], log["accepted"]) != (rows, rows):
        raise SystemExit(f"{log['accepted']} of {rows} rows were accepted: this measures nothing")
    begun = time.perf_counter()
    for name in ("transactions", "lines", "tenders"):
        duckdb.sql(
            f"select count(columns(*)) from read_csv('{home.landing}/pos/*/*/{name}.csv', all_varchar = true)"
        ).fetchall()
    bare = time.perf_counter() - begun
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{rows:,} rows landed in {taken:.1f} s ({used:.1f} processor s): {rows / taken:,.0f} rows/s, {memory:.1f} GB"
    )
    print(f"read as text and counted in {bare:.1f} s: {taken / bare:.1f} times that")


if __name__ == "__main__":
    main()

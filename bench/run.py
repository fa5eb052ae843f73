"""``make bench``: how long the whole of Complete Journey and one further night take, and how much memory.

Each figure stands beside the barest program that reads the same receipts in the same run: DuckDB adding up the paid
amount of each card from the landed CSV files. The ratio holds when the machine's speed drifts; the seconds do not.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent

BAREST = """
import duckdb, sys
con = duckdb.connect()
landing = sys.argv[1] + "/pos/*/*/"
print(con.sql(
    f"select count(*), sum(n) from (select t.loyalty_card_id, sum(cast(l.net_amount as decimal(18, 2))) as n"
    f" from read_csv('{landing}lines.csv', all_varchar = true, union_by_name = false) as l"
    f" inner join read_csv('{landing}transactions.csv', all_varchar = true, union_by_name = false) as t"
    " using (transaction_id) group by all)"
).fetchall())
"""


@dataclass(frozen=True)
class Measured:
    """One process: wall and processor seconds, peak memory of the largest process in it in GB."""

    name: str
    wall: float
    cpu: float
    memory: float


def measure(name: str, command: list[str], home: Path) -> Measured:
    """Runs a command to its end; a failing one ends the benchmark with what it said."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, env=os.environ | {"KANTA_HOME": str(home)}, cwd=REPOSITORY)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, 3):
        sys.exit(f"{' '.join(command)} ended with {code}")
    return Measured(name, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=REPOSITORY / "build" / "bench", help="where the feed and lake go")
    home = parser.parse_args().out.resolve()
    shutil.rmtree(home, ignore_errors=True)
    python = sys.executable
    kanta = [python, "-m", "kanta", "run"]
    subprocess.run([python, "bench/feed.py", "--out", str(home), "--night"], cwd=REPOSITORY, check=True)
    figures = [
        measure("barest: sum by card from CSV", [python, "-c", BAREST, str(home / "landing")], home),
        measure("a year in one run", [*kanta, "--from", "2017-01-01", "--to", "2017-12-30"], home),
    ]
    shutil.copytree(home / "next", home / "landing", dirs_exist_ok=True)
    figures.append(measure("one further night", [*kanta, "--date", "2017-12-31"], home))
    figures.append(measure("the same night again", [*kanta, "--date", "2017-12-31"], home))
    print(f"\n{'':<30}{'wall s':>9}{'cpu s':>9}{'GB':>7}{'x barest':>10}")
    for figure in figures:
        ratio = figure.wall / figures[0].wall
        print(f"{figure.name:<30}{figure.wall:>9.1f}{figure.cpu:>9.1f}{figure.memory:>7.2f}{ratio:>10.2f}")


if __name__ == "__main__":
    main()

"""``lake/page.duckdb``: the views of ``analysts.duckdb`` and, for each publication, the sums the page asks for."""

from __future__ import annotations

import fcntl
import shutil
import tempfile
import threading
from functools import lru_cache
from pathlib import Path

from kanta.engine import Engine
from kanta.home import Home
from kanta.lake import Lake
from kanta.night import Night
from kanta.reading import clear, refresh_analysts_file, shown_by, write_analysts_file

#: Worked out once for each publication, each from those before it; the file keeps all but the first, which they read.
PREPARED = (
    "reference.loyalty_cards", "analysts._profiles", "analysts._cube", "analysts._holders", "analysts._cards",
    "analysts._points", "analysts._expiring", "analysts._tier_months", "analysts._outlooks", "analysts._liability",
    "analysts._breakage", "analysts._opening", "analysts._flows", "analysts._lives",
)  # fmt: skip


def current(home: Home) -> Path:
    """The file to be read now. Nobody waits for the newest publication where an earlier one can be shown: it is seen to
    aside. Where there is none it is made first; of a home that cannot be written, in a folder for temporary files.
    """
    lake = Lake(home)
    number, lake_shown = shown_by(_place(lake)) or (0, "")
    # The files of a publication that maintenance has dropped may be gone.
    if lake_shown == str(lake.root) and number in {int(path.stem) for path in lake.publications()}:
        if number != lake.published().number:
            threading.Thread(target=refresh, args=[home]).start()
        return _place(lake)
    try:
        return refresh(home)
    except OSError:
        return _elsewhere(home, lake.published().number)


@lru_cache(maxsize=1)
def _elsewhere(home: Home, _number: int) -> Path:
    """The file of a home that cannot be written, made once for each publication."""
    folder = Path(tempfile.mkdtemp())
    views = write_analysts_file(home, Lake(home).published(), folder / "views.duckdb")
    return _prepare(home, views, folder / "page.duckdb")


def refresh(home: Home) -> Path:
    """Sees to it that the file shows the newest publication; one that does already stays."""
    lake = Lake(home)
    target = _place(lake)
    with (lake.root / ".page.lock").open("a") as one_at_a_time:
        fcntl.flock(one_at_a_time, fcntl.LOCK_EX)
        if shown_by(target) != (lake.published().number, str(lake.root)):
            _prepare(home, refresh_analysts_file(home), lake.root / ".page.part.duckdb").replace(target)
    return target


def _prepare(home: Home, views: Path, fresh: Path) -> Path:
    """Writes a copy of the file of views to which what is prepared is added."""
    clear(fresh)
    shutil.copyfile(views, fresh)
    lake = Lake(home)
    state = lake.published()
    with Engine(lake.root / "work", shared=True) as aside, Engine(lake.root / "work", fresh) as engine:
        night = Night(home, lake, aside, "reading", state, state.night)
        night.attach("rfm._receipts", "programme.calendar")
        night.define(*PREPARED)
        with engine.at_once():
            for name in PREPARED[1:]:
                engine.con.register("_prepared", aside.arrow(f"select * from {name}"))
                engine.define(name, "select * from _prepared")
        engine.con.unregister("_prepared")
        engine.execute("checkpoint")
    return fresh


def _place(lake: Lake) -> Path:
    return lake.root / "page.duckdb"

"""A home is its owner's alone (docs/security.md, Permissions)."""

from __future__ import annotations

import grp
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from kanta.errors import KantaError
from kanta.home import Home
from kanta.lake import Lake, write_atomically


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """As most users have it."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> str:
    return oct(stat.S_IMODE(path.stat().st_mode))


@pytest.mark.parametrize("there", [False, True])
def test_who_writes_the_lake_closes_the_home_and_what_is_written(tmp_path: Path, there: bool) -> None:
    home = Home(tmp_path / "home")
    if there:
        home.root.mkdir(mode=0o755)
    with Lake(home).writing():
        write_atomically(home.lake / "published" / "x.json", "{}")
    (home.root / "later").write_text("")
    assert {mode(path) for path in (home.root, home.lake, home.lake / "published")} == {"0o700"}
    assert {mode(home.lake / "published" / "x.json"), mode(home.root / "later")} == {"0o600"}


def test_with_a_group_for_packages_its_members_may_pass_and_list_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.programme.mkdir(parents=True)
    group = grp.getgrgid(os.getgid())
    (home.programme / "settings.yaml").write_text(f"outbox_group: {group.gr_name}\n")
    home.make_private()
    assert (mode(home.root), home.root.stat().st_gid) == ("0o710", group.gr_gid)


def test_a_group_that_is_not_there_is_said(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.programme.mkdir(parents=True)
    (home.programme / "settings.yaml").write_text("outbox_group: nobodys-group\n")
    with pytest.raises(KantaError, match="no group nobodys-group"):
        home.make_private()

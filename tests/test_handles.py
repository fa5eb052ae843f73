"""Rooms that others may write into: a link anywhere on the way is refused, and what is written is a fresh file."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from kanta import handles


def test_a_link_anywhere_below_the_root_is_refused_and_the_root_itself_may_be_one(tmp_path: Path) -> None:
    (tmp_path / "real" / "a" / "b").mkdir(parents=True)
    (tmp_path / "elsewhere" / "b").mkdir(parents=True)
    (tmp_path / "root").symlink_to(tmp_path / "real")
    with handles.folder(tmp_path / "root", "a/b") as folder:
        handles.write(folder, "x", b"1")
    assert (tmp_path / "real/a/b/x").read_bytes() == b"1"
    (tmp_path / "real" / "l").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "real" / "relative").symlink_to("a")
    (tmp_path / "real" / "file").write_text("")
    for path in ("l", "l/b", "relative/b"):
        with pytest.raises(OSError, match="is a link"), handles.folder(tmp_path / "root", path, handles.made):
            pass
    for path in ("file", "../elsewhere", "a/../../elsewhere"):
        with (
            pytest.raises(OSError, match=r"no folder|leads out"),
            handles.folder(tmp_path / "root", path, handles.made),
        ):
            pass
    assert list((tmp_path / "elsewhere").rglob("*")) == [tmp_path / "elsewhere" / "b"]


def test_a_file_is_written_anew_in_the_place_of_a_link_and_is_private(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("ORIGINAL")
    (tmp_path / "drop").mkdir()
    (tmp_path / "drop" / "x.csv").symlink_to(victim)
    os.link(victim, tmp_path / "drop" / "hard.csv")
    with handles.folder(tmp_path, "drop") as folder:
        for name in ("x.csv", "hard.csv"):
            handles.write(folder, name, b"new")
    assert victim.read_text() == "ORIGINAL"
    for name in ("x.csv", "hard.csv"):
        status = (tmp_path / "drop" / name).lstat()
        assert stat.S_ISREG(status.st_mode)
        assert stat.S_IMODE(status.st_mode) == 0o600
    assert sorted(path.name for path in (tmp_path / "drop").iterdir()) == ["hard.csv", "x.csv"]


def test_a_fresh_name_cannot_be_foreseen_and_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    seen = []

    def note(_: int) -> None:
        seen.append(min(path.name for path in tmp_path.iterdir()))
        if len(seen) == 2:
            raise OSError("no room")

    with handles.folder(tmp_path) as folder:
        handles.write(folder, "x", b"1", note)
        with pytest.raises(OSError, match="no room"):
            handles.write(folder, "x", b"2", note)
    assert len(set(seen)) == 2
    assert all(handles.LEFTOVER.fullmatch(name) for name in seen)
    assert (tmp_path / "x").read_bytes() == b"1"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_reading_and_removing_follow_no_link(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "keep").write_text("1")
    (tmp_path / "in" / "sub").mkdir(parents=True)
    (tmp_path / "in" / "sub" / "l").symlink_to(tmp_path / "out")
    (tmp_path / "in" / "l").symlink_to(tmp_path / "out" / "keep")
    os.mkfifo(tmp_path / "in" / "pipe")
    with handles.folder(tmp_path, "in") as folder:
        with pytest.raises(OSError, match="l is a link"):
            handles.read(folder, "l")
        with pytest.raises(OSError, match="pipe is not a file"):
            handles.read(folder, "pipe")
        assert list(handles.files(folder)) == []
        for name in ("l", "sub", "pipe", "absent"):
            handles.remove(folder, name)
    assert list((tmp_path / "in").iterdir()) == []
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["keep"]

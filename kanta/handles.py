"""Files below a folder that others may write into, reached by handles: no link is ever followed (docs/security.md).

Suppliers and stores own what lies in landing, inbox and outbox, and may change it while it is read. So each folder on
the way is opened from the one above it, without following a link, and a file is written under a fresh name that
nobody can foresee and then takes its place. The root itself is the operator's: it may be a link.
"""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

#: What a process that died has left of a file that it wrote.
LEFTOVER = re.compile(r"\.kanta-[0-9a-f]{32}\.part")


def parts_of(path: str) -> list[str]:
    """The names of a path below a root. Raises OSError for one that leads elsewhere."""
    parts = [part for part in path.split("/") if part]
    if ".." in parts or "." in parts or "\0" in path:
        raise OSError(errno.EINVAL, "the path leads out of its folder")
    return parts


@contextmanager
def folder(root: Path | str | int, path: str = "", make: Callable[[int, str], None] | None = None) -> Iterator[int]:
    """A folder below ``root`` (a path or a handle) as a handle.

    ``make`` makes one that is not there (``made``). Raises FileNotFoundError where there is none and none is made,
    OSError where something on the way is a link or no folder.
    """
    handle = os.open(root, _FOLDER) if not isinstance(root, int) else os.dup(root)
    try:
        for place, name in enumerate(parts := parts_of(path), 1):
            below = _below(handle, name, "/".join(parts[:place]), make)
            os.close(handle)
            handle = below
        yield handle
    finally:
        os.close(handle)


def _below(handle: int, name: str, told: str, make: Callable[[int, str], None] | None) -> int:
    try:
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=handle)
    except FileNotFoundError:
        if make is None:
            raise
        with suppress(FileExistsError):
            make(handle, name)
        return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=handle)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            kind = "a link" if is_link(handle, name) else "no folder"
            raise OSError(errno.ELOOP, f"{told} is {kind}") from error
        raise


def made(handle: int, name: str) -> None:
    """Makes a folder that is ours alone."""
    os.mkdir(name, 0o700, dir_fd=handle)


def is_link(handle: int, name: str) -> bool:
    """Whether the name is a link's, in the folder ``handle``; false when it is not there."""
    try:
        return stat.S_ISLNK(os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def open_file(handle: int, name: str) -> IO[bytes]:
    """Opens a regular file of a folder; never through a link, never waiting on a pipe. Raises OSError otherwise."""
    try:
        file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=handle)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(errno.ELOOP, f"{name} is a link") from error
        raise
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, f"{name} is not a file")
    return os.fdopen(file, "rb")


def read(handle: int, name: str) -> bytes:
    """A file's content, by :func:`open_file`."""
    with open_file(handle, name) as file:
        return file.read()


def write(
    handle: int, name: str, content: bytes | IO[bytes], ready: Callable[[int], None] | None = None
) -> os.stat_result:
    """Puts a file there, whole, in the place of whatever bears the name; returns how it stands. Raises OSError.

    It is ours alone (mode 600) unless ``ready``, given the open file, makes it otherwise. Not synced.
    """
    fresh = f".kanta-{secrets.token_hex(16)}.part"
    try:
        with os.fdopen(os.open(fresh, _FRESH, 0o600, dir_fd=handle), "wb") as file:
            shutil.copyfileobj(io.BytesIO(content) if isinstance(content, bytes) else content, file)
            file.flush()
            if ready:
                ready(file.fileno())
            os.replace(fresh, name, src_dir_fd=handle, dst_dir_fd=handle)
            return os.fstat(file.fileno())  # a rename is a change, too
    except BaseException:
        with suppress(OSError):
            os.unlink(fresh, dir_fd=handle)
        raise


def remove(handle: int, name: str) -> None:
    """Takes a file, a link, or a folder with all it holds away; nothing to do when it is not there."""
    try:
        os.unlink(name, dir_fd=handle)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        shutil.rmtree(name, dir_fd=handle)  # which follows no link either


def files(handle: int, path: str = "") -> Iterator[tuple[int, str, str]]:
    """All regular files below a folder, no links: its folder's handle, its name, its path below ``handle``."""
    with os.scandir(handle) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            with suppress(OSError), folder(handle, entry.name) as below:
                yield from files(below, f"{path}{entry.name}/")
        elif entry.is_file(follow_symlinks=False):
            yield handle, entry.name, f"{path}{entry.name}"

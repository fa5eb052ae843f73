"""How packages and acknowledgements travel: a place to list, read and upload to; local folders for now.

Other places (sftp, s3) take the same three steps; what goes wrong with one raises OSError and concerns one store.
"""

from __future__ import annotations

import os
import shutil
import stat
from io import BufferedReader
from pathlib import Path


class Folders:
    """A local outbox or inbox. Paths are given below its root, with ``/``."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self, path: str = "") -> list[str]:
        """Names in a folder, sorted; none when it is not there."""
        try:
            return sorted(entry.name for entry in (self.root / path).iterdir())
        except FileNotFoundError:
            return []

    def read(self, path: str, most: int) -> bytes | None:
        """A file's content; None when it is not there. Raises OSError for more than ``most`` bytes and for no file."""
        return read_file(self.root / path, most)

    def upload(self, content: Path | bytes, path: str) -> None:
        """Puts a file up under its name only when all of it is there: first ``.part``, then renamed."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        part.unlink(missing_ok=True)
        if isinstance(content, Path):
            shutil.copyfile(content, part)
            size = content.stat().st_size
        else:
            part.write_bytes(content)
            size = len(content)
        if part.stat().st_size != size:
            raise OSError(f"{target.name}: {part.stat().st_size} of {size} bytes arrived")
        part.replace(target)


def open_file(path: Path) -> BufferedReader:
    """Opens a regular file, without following a link or waiting on a pipe. Raises OSError for anything else."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(f"{path.name} is not a file")
    return os.fdopen(handle, "rb")


def read_file(path: Path, most: int) -> bytes | None:
    """A file's content, by :func:`open_file`; None when there is none. Raises OSError for more than ``most`` bytes."""
    try:
        with open_file(path) as file:
            content = file.read(most + 1)
    except FileNotFoundError:
        return None
    if len(content) > most:
        raise OSError(f"{path.name} is larger than {most} bytes")
    return content

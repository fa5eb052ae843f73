"""How packages and acknowledgements travel: a place to list, read, upload to and remove from (spec 6-distribution).

``settings.yaml`` names the outbox and the inbox: a folder, ``sftp://user@host/path`` or ``s3://bucket/path``. What
goes wrong with a place raises OSError and concerns one store. Secrets come from the environment (``KANTA_SFTP_*``,
``AWS_*``) or, with ``?connection=ID`` at the URL's end, from that Airflow connection; none is ever in a message.
"""

from __future__ import annotations

import io
import logging
import os
import random
import shutil
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol, TypeVar
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from kanta.distribution.keys import connection
from kanta.errors import KantaError
from kanta.home import Home

Got = TypeVar("Got")

#: How often a remote place is tried, and the seconds before the second try at most; then twice as long, and so on.
TRIES, PAUSE = 4, 1.0

#: A remote place that says nothing for so many seconds has failed; a slow one that goes on has not.
SILENCE = 60.0


class Transport(Protocol):
    """A place. Paths are given below its root, with ``/``."""

    def names(self, path: str = "") -> list[str]:
        """Names in a folder, sorted; none when it is not there."""

    def stamps(self, path: str) -> dict[str, str]:
        """The same with each file's size and time, as text by which a file that was changed is seen."""

    def read(self, path: str, most: int) -> bytes | None:
        """A file's content; None when it is not there. Raises OSError for more than ``most`` bytes and for no file."""

    def upload(self, content: bytes, path: str) -> None:
        """Puts a file up under its name only when all of it is there; one that is there in its size is kept."""

    def remove(self, path: str) -> None:
        """Takes a file, or a folder with its files, away; nothing to do when it is not there."""


def open_place(home: Home, url: str) -> Transport:
    """The outbox or inbox that ``url`` (settings.yaml) names; a path is one below the home."""
    parts = urlsplit(url)
    if parts.password is not None:  # what goes wrong with a place is told with its name
        raise KantaError(
            f"The {parts.scheme}: place has a password in its URL",
            where="programme/settings.yaml",
            next_step="take it out, and name a connection (?connection=ID) or set KANTA_SFTP_* or AWS_*",
        )
    if parts.scheme == "sftp":
        return Patient(Sftp(parts))
    if parts.scheme == "s3":
        return Patient(Bucket(parts))
    if parts.scheme not in ("", "file"):
        raise KantaError(
            f"There is no transport {parts.scheme}:",
            where="programme/settings.yaml",
            next_step="name a folder, sftp://user@host/path or s3://bucket/path",
        )
    return Folders(home.root / (unquote(parts.path) if parts.scheme else url))


def outbox(home: Home) -> Transport:
    """Where packages go."""
    return open_place(home, home.settings.outbox)


def inbox(home: Home) -> Transport:
    """Where acknowledgements come."""
    return open_place(home, home.settings.inbox)


# ── local ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Folders:
    """A local place."""

    def __init__(self, root: Path) -> None:
        self.root = root

    # Paths are text here: thousands of folders each night, and a Path costs more than what is done with it.

    def names(self, path: str = "") -> list[str]:
        try:
            return sorted(os.listdir(f"{self.root}/{path}"))  # noqa: PTH208
        except FileNotFoundError:
            return []

    def stamps(self, path: str) -> dict[str, str]:
        stats: dict[str, os.stat_result] = {}
        try:
            with os.scandir(f"{self.root}/{path}") as found:
                for entry in found:
                    with suppress(FileNotFoundError):  # a part that was renamed hides no other file
                        stats[entry.name] = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return {}
        return {
            name: f"{of.st_size} {of.st_mtime_ns} {of.st_ctime_ns} {of.st_ino}" for name, of in sorted(stats.items())
        }

    def read(self, path: str, most: int) -> bytes | None:
        return read_file(self.root / path, most)

    def upload(self, content: bytes, path: str) -> None:
        target = f"{self.root}/{path}"
        with _opened(content) as source, _fresh(f"{target}.part") as file:
            shutil.copyfileobj(source, file)
        # Not synced: what a machine that went down has left broken, its store refuses by its hash and says so.
        os.replace(f"{target}.part", target)  # noqa: PTH105
        _check_size(path, os.stat(target).st_size, content)  # noqa: PTH116

    def remove(self, path: str) -> None:
        target = self.root / path
        try:
            shutil.rmtree(target) if target.is_dir() and not target.is_symlink() else target.unlink()
        except FileNotFoundError:
            return


def _fresh(path: str) -> IO[bytes]:
    """A new file to write; what lay there goes first, so that nothing is ever written through a link."""
    try:
        return open(path, "xb")  # noqa: PTH123
    except FileNotFoundError:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        Path(path).unlink()
    return open(path, "xb")  # noqa: PTH123


def _check_size(name: str, arrived: int | None, content: bytes) -> None:
    if arrived != len(content):
        raise OSError(f"{name}: {arrived or 0} of {len(content)} bytes arrived")


def _opened(content: bytes) -> IO[bytes]:
    return io.BytesIO(content)


def open_file(path: Path) -> io.BufferedReader:
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
            return _limited(file.read(most + 1), path.name, most)
    except FileNotFoundError:
        return None


def _limited(content: bytes, name: str, most: int) -> bytes:
    if len(content) > most:
        raise OSError(f"{name} is larger than {most} bytes")
    return content


# ── remote ───────────────────────────────────────────────────────────────────────────────────────────────────────


class Patient:
    """A remote place, tried again when it fails: a few times, each pause twice as long, with jitter."""

    def __init__(self, place: Transport, pause: Callable[[float], None] = time.sleep, tries: int = TRIES) -> None:
        self._place, self._pause, self._tries = place, pause, tries

    def names(self, path: str = "") -> list[str]:
        return self._try(lambda: self._place.names(path))

    def stamps(self, path: str) -> dict[str, str]:
        return self._try(lambda: self._place.stamps(path))

    def read(self, path: str, most: int) -> bytes | None:
        return self._try(lambda: self._place.read(path, most))

    def upload(self, content: bytes, path: str) -> None:
        self._try(lambda: self._place.upload(content, path))

    def remove(self, path: str) -> None:
        self._try(lambda: self._place.remove(path))

    def _try(self, work: Callable[[], Got]) -> Got:
        for done in range(1, self._tries):
            try:
                return work()
            except OSError:
                self._pause(PAUSE * 2 ** (done - 1) * random.uniform(0.5, 1))  # noqa: S311 - a pause, no secret
        return work()


class Sftp:
    """A folder on an SFTP server, with key login.

    The private key is ``KANTA_SFTP_KEY`` (text), ``KANTA_SFTP_KEY_FILE`` or the connection's ``private_key``; the
    server's own key must be in ``KANTA_SFTP_KNOWN_HOSTS`` (a file), ``known_hosts`` of the connection, or
    ~/.ssh/known_hosts: another server gets nothing.
    """

    def __init__(self, url: SplitResult) -> None:
        self._root, self._url = PurePosixPath(unquote(url.path) or "."), url
        self._client: Any = None

    @cached_property
    def _secrets(self) -> dict[str, str]:
        names = parse_qs(self._url.query).get("connection", [])
        if names:
            return connection(names[0])
        given = {name: os.environ.get(f"KANTA_SFTP_{name.upper()}", "") for name in ("key", "key_file", "known_hosts")}
        return {"private_key": given["key"], "key_file": given["key_file"], "known_hosts": given["known_hosts"]}

    def _do(self, work: Callable[[Any], Got]) -> Got:
        """Work with the open connection; one that broke is closed, and the next try opens another."""
        try:
            if self._client is None:
                self._client = self._connected()
            return work(self._client)
        except (FileNotFoundError, FileExistsError, KantaError):
            raise
        except Exception as error:  # what is no SFTP fails in ways that the library names as they come
            if self._client is not None:
                with suppress(Exception):
                    self._client.get_channel().get_transport().close()
            self._client = None
            raise error if isinstance(error, OSError) else OSError(f"the SFTP server failed: {error}") from error

    def _connected(self) -> Any:
        import paramiko

        # Its threads tell a log of what also comes as an exception; where nobody set one up that would be the terminal.
        logging.getLogger("paramiko").addHandler(logging.NullHandler())
        client = paramiko.SSHClient()
        known, key_file = self._secrets.get("known_hosts"), self._secrets.get("key_file")
        for name, file in (("known hosts", known), ("private key", key_file)):
            if file and not Path(file).is_file():  # its FileNotFoundError would pass for an outbox that is empty
                raise KantaError(f"The file of the SFTP server's {name} is not there", where=file, next_step="name it")
        client.load_host_keys(known) if known else client.load_system_host_keys()
        text = self._secrets.get("private_key")
        client.connect(
            self._secrets.get("host") or self._url.hostname or "",
            int(self._secrets.get("port") or self._url.port or 22),
            self._secrets.get("login") or self._url.username,
            pkey=_private_key(text) if text else None,
            key_filename=key_file or None,
            allow_agent=False,
            look_for_keys=not (text or key_file),
            timeout=SILENCE,
            banner_timeout=SILENCE,
            auth_timeout=SILENCE,
        )
        try:
            opened = client.open_sftp()
            opened.get_channel().settimeout(SILENCE)
        except Exception:
            client.close()
            raise
        return opened

    def names(self, path: str = "") -> list[str]:
        return list(self.stamps(path))

    def stamps(self, path: str) -> dict[str, str]:
        try:
            found = self._do(lambda sftp: sftp.listdir_attr(self._at(path)))
        except FileNotFoundError:
            return {}
        return {of.filename: f"{of.st_size} {of.st_mtime}" for of in sorted(found, key=attrgetter("filename"))}

    def read(self, path: str, most: int) -> bytes | None:
        def content(sftp: Any) -> bytes:
            if not stat.S_ISREG(sftp.lstat(self._at(path)).st_mode):
                raise OSError(f"{path} is not a file")
            with sftp.open(self._at(path), "rb") as file:
                return _limited(file.read(most + 1), path, most)

        try:
            return self._do(content)
        except FileNotFoundError:
            return None

    def upload(self, content: bytes, path: str) -> None:
        target = self._at(path)

        def put(sftp: Any) -> None:
            self._make_folder(sftp, PurePosixPath(target).parent)
            with _opened(content) as source:
                sftp.putfo(source, f"{target}.part", confirm=False)
            sftp.posix_rename(f"{target}.part", target)
            _check_size(path, self._size(sftp, target), content)

        self._do(put)

    def remove(self, path: str) -> None:
        def take(sftp: Any) -> None:
            target = self._at(path)
            if not stat.S_ISDIR(sftp.lstat(target).st_mode):
                sftp.remove(target)
                return
            for name in sftp.listdir(target):
                sftp.remove(f"{target}/{name}")
            sftp.rmdir(target)

        with suppress(FileNotFoundError):
            self._do(take)

    def _at(self, path: str) -> str:
        return str(self._root / path)

    @staticmethod
    def _size(sftp: Any, target: str) -> int | None:
        try:
            return int(sftp.stat(target).st_size)
        except FileNotFoundError:
            return None

    def _make_folder(self, sftp: Any, folder: PurePosixPath) -> None:
        try:
            sftp.stat(str(folder))
        except FileNotFoundError:
            self._make_folder(sftp, folder.parent)
            sftp.mkdir(str(folder))


def _private_key(text: str) -> Any:
    import paramiko

    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text))
        except paramiko.SSHException:
            continue
    raise KantaError("The SFTP key is no private key", next_step="set KANTA_SFTP_KEY to the text of an OpenSSH key")


class Bucket:
    """A folder of an S3 bucket: ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_ENDPOINT_URL``, ``AWS_REGION``.

    An object is there whole or not at all, so nothing is renamed.
    """

    def __init__(self, url: SplitResult) -> None:
        self._root, self._url = PurePosixPath(url.netloc, unquote(url.path).strip("/")), url

    @cached_property
    def _files(self) -> Any:
        from pyarrow.fs import S3FileSystem

        names = parse_qs(self._url.query).get("connection", [])
        given = connection(names[0]) if names else {}
        return S3FileSystem(
            access_key=given.get("login"),
            secret_key=given.get("password"),
            endpoint_override=given.get("endpoint_url") or os.environ.get("AWS_ENDPOINT_URL"),
            region=given.get("region_name") or os.environ.get("AWS_REGION") or "us-east-1",
            allow_delayed_open=True,
            connect_timeout=SILENCE,
            request_timeout=SILENCE,
        )

    def names(self, path: str = "") -> list[str]:
        return list(self.stamps(path))

    def stamps(self, path: str) -> dict[str, str]:
        from pyarrow.fs import FileSelector

        found = self._files.get_file_info(FileSelector(str(self._root / path), allow_not_found=True))
        return {of.base_name: f"{of.size} {of.mtime_ns}" for of in sorted(found, key=attrgetter("base_name"))}

    def read(self, path: str, most: int) -> bytes | None:
        if self._size(path) is None:
            return None
        with self._files.open_input_stream(str(self._root / path), compression=None) as file:
            return _limited(file.read(most + 1), path, most)

    def upload(self, content: bytes, path: str) -> None:
        with _opened(content) as source:
            data = source.read()
        # What is packed is packed already, whatever the library reads from the name.
        with self._files.open_output_stream(str(self._root / path), compression=None) as target:
            target.write(data)  # at once, so that a stream that is closed early cannot leave half an object
        _check_size(path, self._size(path), content)

    def remove(self, path: str) -> None:
        at = str(self._root / path)
        with suppress(FileNotFoundError):
            self._files.delete_file(at) if self._size(path) is not None else self._files.delete_dir(at)

    def _size(self, path: str) -> int | None:
        info = self._files.get_file_info(str(self._root / path))
        return int(info.size) if info.is_file else None

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
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property, partial
from operator import attrgetter
from pathlib import Path, PurePosixPath
from typing import IO, Any, Protocol, TypeVar
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from kanta import handles
from kanta.distribution.keys import connection
from kanta.errors import KantaError
from kanta.home import Home

Got = TypeVar("Got")

#: How often a remote place is tried, and the seconds before the second try at most; then twice as long, and so on.
TRIES, PAUSE = 4, 1.0

#: What lies in a local place is for its stores, too, and for nobody else, whatever the process's umask.
SHARED_FILE, SHARED_FOLDER = 0o640, 0o750

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
    return Folders(home.root / (unquote(parts.path) if parts.scheme else url), home.group)


def verdict_of(place: Transport) -> str:
    """Why a place as a whole does not answer, once that was found; "" while it does."""
    return place.verdict if isinstance(place, Patient) else ""


def outbox(home: Home) -> Transport:
    """Where packages go."""
    return open_place(home, home.settings.outbox)


def inbox(home: Home) -> Transport:
    """Where acknowledgements come."""
    return open_place(home, home.settings.inbox)


# ── local ────────────────────────────────────────────────────────────────────────────────────────────────────────


class Folders:
    """A local place. Whatever lies below its root is a store's to change, so it is reached by handles alone.

    ``group``: the system's group that may read what is put there; None leaves it the process's own.
    """

    def __init__(self, root: Path, group: int | None = None) -> None:
        self.root, self._group = root, group

    def names(self, path: str = "") -> list[str]:
        try:
            with handles.folder(self.root, path) as folder:
                return sorted(os.listdir(folder))  # noqa: PTH208 - of a handle
        except FileNotFoundError:
            return []

    def stamps(self, path: str) -> dict[str, str]:
        stats: dict[str, os.stat_result] = {}
        try:
            with handles.folder(self.root, path) as folder, os.scandir(folder) as found:
                for entry in found:
                    with suppress(FileNotFoundError):  # a part that was renamed hides no other file
                        stats[entry.name] = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            return {}
        return {
            name: f"{of.st_size} {of.st_mtime_ns} {of.st_ctime_ns} {of.st_ino}" for name, of in sorted(stats.items())
        }

    def read(self, path: str, most: int) -> bytes | None:
        above, name = _split(path)
        try:
            with handles.folder(self.root, above) as folder, handles.open_file(folder, name) as file:
                return _limited(file.read(most + 1), name, most)
        except FileNotFoundError:
            return None

    def upload(self, content: bytes, path: str) -> None:
        above, name = _split(path)
        try:
            self._put(above, name, content)
        except FileNotFoundError:  # the place itself is not there yet
            self.root.mkdir(parents=True, exist_ok=True)
            with handles.folder(self.root) as made:
                self._share(SHARED_FOLDER, made)
            self._put(above, name, content)

    def _put(self, above: str, name: str, content: bytes) -> None:
        # Not synced: what a machine that went down has left broken, its store refuses by its hash and says so.
        with handles.folder(self.root, above, self._make) as folder:
            with _opened(content) as source:
                handles.write(folder, name, source, partial(self._share, SHARED_FILE))
            arrived = None
            with suppress(FileNotFoundError):  # a file system may say that it renamed, and have not
                arrived = os.stat(name, dir_fd=folder, follow_symlinks=False).st_size
        _check_size(f"{above}/{name}", arrived, content)

    def _make(self, folder: int, name: str) -> None:
        handles.made(folder, name)
        with handles.folder(folder, name) as made:
            self._share(SHARED_FOLDER, made)

    def _share(self, mode: int, handle: int) -> None:
        if self._group is not None:
            os.fchown(handle, -1, self._group)
        os.fchmod(handle, mode)

    def remove(self, path: str) -> None:
        above, name = _split(path)
        with suppress(FileNotFoundError), handles.folder(self.root, above) as folder:
            handles.remove(folder, name)


def _split(path: str) -> tuple[str, str]:
    """A path's folder and its last name. Raises OSError for one that leads elsewhere."""
    *above, name = handles.parts_of(path)
    return "/".join(above), name


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


class UnreachableError(OSError):
    """A place as a whole does not answer: the trouble of none of its stores."""


class Patient:
    """A remote place, tried again when it fails: a few times, each pause twice as long, with jitter.

    Once the place itself has failed so, nothing more is asked of it: ``verdict`` says why, and every further call
    raises it at once. A store's own folder that fails while the place answers is that store's trouble alone.
    """

    def __init__(self, place: Transport, pause: Callable[[float], None] = time.sleep, tries: int = TRIES) -> None:
        self._place, self._pause, self._tries = place, pause, tries
        self.verdict = ""

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
        if self.verdict:
            raise UnreachableError(self.verdict)
        for done in range(1, self._tries):
            try:
                return work()
            except OSError:
                self._pause(PAUSE * 2 ** (done - 1) * random.uniform(0.5, 1))  # noqa: S311 - a pause, no secret
        try:
            return work()
        except OSError as error:
            if isinstance(error, UnreachableError) or not self._answers():
                self.verdict = str(error.strerror or error)
                raise UnreachableError(self.verdict) from error
            raise

    def _answers(self) -> bool:
        """Whether the place itself says anything, be it that its root is not to be listed."""
        try:
            self._place.names()
        except OSError as error:
            return isinstance(error, PermissionError) or "ACCESS_DENIED" in str(error)
        return True


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
                self._client = self._opened()
            return work(self._client)
        except (FileNotFoundError, FileExistsError, KantaError, UnreachableError):
            raise
        except Exception as error:  # what is no SFTP fails in ways that the library names as they come
            if self._client is not None:
                with suppress(Exception):
                    self._client.get_channel().get_transport().close()
            self._client = None
            raise error if isinstance(error, OSError) else OSError(f"the SFTP server failed: {error}") from error

    def _opened(self) -> Any:
        """A connection. Raises UnreachableError for whatever a server, or what stands in its place, does instead."""
        try:
            return self._connected()
        except KantaError:
            raise
        except Exception as error:  # what is no SFTP fails in ways that the library names as they come
            said = getattr(error, "strerror", None) or str(error) or "it closed the connection"
            raise UnreachableError(f"the SFTP server failed: {said}") from error

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

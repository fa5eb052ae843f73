"""Places: a folder, a real OpenSSH server on loopback, a real S3-speaking server; and one that fails at every step."""

from __future__ import annotations

import getpass
import io
import json
import logging
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import paramiko
import pytest

from kanta import distribution
from kanta.distribution import transport
from kanta.distribution.transport import Bucket, Patient, Sftp, Transport
from kanta.errors import KantaError
from kanta.home import REPOSITORY, Home
from tests.distribution.conftest import Chain

pytestmark = pytest.mark.slow  # real servers

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/bin")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="session")
def ssh_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An OpenSSH server of this test alone, with key login; skipped, loudly, where none is installed."""
    if SSHD is None:
        pytest.skip("NO OPENSSH SERVER HERE: sftp is not tested; next: apt-get install openssh-server")
    folder = tmp_path_factory.mktemp("ssh")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    port = free_port()
    (folder / "config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
        "PasswordAuthentication no\nStrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\n"
        f"PidFile {folder}/pid\nSubsystem sftp internal-sftp\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True) if os.getuid() == 0 else None
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "config")], stderr=subprocess.PIPE)
    assert server.stderr is not None
    while b"listening" not in server.stderr.readline():
        assert server.poll() is None, "sshd did not start"
    host = (folder / "host.pub").read_text().split()
    (folder / "known").write_text(f"[127.0.0.1]:{port} {host[0]} {host[1]}\n")
    os.environ["KANTA_SFTP_KEY"] = (folder / "user").read_text()
    os.environ["KANTA_SFTP_KNOWN_HOSTS"] = str(folder / "known")
    yield f"sftp://{getpass.getuser()}@127.0.0.1:{port}{folder}/files"
    server.terminate()
    server.wait()
    del os.environ["KANTA_SFTP_KEY"], os.environ["KANTA_SFTP_KNOWN_HOSTS"]


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """moto's server, with a bucket."""
    from moto.server import ThreadedMotoServer
    from pyarrow.fs import S3FileSystem

    server = ThreadedMotoServer("127.0.0.1", port=free_port(), verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    names = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}
    os.environ.update(names)
    S3FileSystem(
        access_key="x", secret_key="y",  # noqa: S106 - moto takes any
        endpoint_override=names["AWS_ENDPOINT_URL"], region="us-east-1",
        allow_bucket_creation=True,
    ).create_dir("stores")  # fmt: skip
    yield "s3://stores/files"
    server.stop()
    for name in names:
        del os.environ[name]


@pytest.fixture(params=["folder", "sftp", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A new place of each kind."""
    if request.param == "folder":
        return f"file://{tmp_path}/place"
    base: str = request.getfixturevalue({"sftp": "ssh_url", "s3": "s3_url"}[request.param])
    return f"{base}/{tmp_path.name}"


def test_what_is_uploaded_is_listed_and_read_and_removed(url: str, tmp_path: Path) -> None:
    place = transport.open_place(Home(tmp_path), url)
    assert place.names() == place.names("S001/1050") == []
    assert place.read("S001/nothing", 10) is None
    place.upload(b"x" * 100_000, "S001/1050/00000001/cards.csv.gz")
    place.upload(b"{}", "S001/1050/00000001/manifest.json")
    place.upload(b"{}", "S001/1050/00000001/manifest.json")
    assert place.names("S001/1050") == ["00000001"]
    assert place.names("S001/1050/00000001") == ["cards.csv.gz", "manifest.json"], "no .part is left"
    assert place.read("S001/1050/00000001/cards.csv.gz", 100_000) == b"x" * 100_000
    with pytest.raises(OSError, match="larger"):
        _impatient(place).read("S001/1050/00000001/cards.csv.gz", 99_999)
    place.remove("S001/1050/00000001/manifest.json")
    place.remove("S001/1050/00000001")
    place.remove("S001/1050/00000001")
    assert place.names("S001/1050/00000001") == []


def _impatient(place: Transport) -> Transport:
    return place._place if isinstance(place, Patient) else place


@pytest.mark.parametrize("kind", ["sftp", "s3"])
def test_a_remote_outbox_and_inbox_serve_a_night(
    chain: Chain, request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    base: str = request.getfixturevalue({"sftp": "ssh_url", "s3": "s3_url"}[kind])
    (chain.home.root / "programme").mkdir(parents=True)
    (chain.home.root / "programme" / "settings.yaml").write_text(
        f"outbox: {base}/{tmp_path.name}/out\ninbox: {base}/{tmp_path.name}/in\n"
    )
    home = Home(chain.home.root)
    assert [(s.sequence, s.state) for s in distribution.send(home, chain_night(chain))] == [(1, "available")]
    outbox = transport.outbox(home)
    for name in outbox.names("S001/1050/00000001"):
        file = tmp_path / "store" / "S001" / "1050" / "00000001" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(outbox.read(f"S001/1050/00000001/{name}", 10**6) or b"")
    from kanta import store

    store.apply([tmp_path / "store"], chain.stores / "S001.duckdb", tmp_path / "said")
    said = (tmp_path / "said/S001/1050/00000001.ack.json").read_bytes()
    transport.inbox(home).upload(said, "S001/1050/00000001.ack.json")
    moved = distribution.send(home, chain_night(chain))
    assert [(s.sequence, s.state) for s in moved] == [(1, "applied")]


def chain_night(chain: Chain) -> object:
    from kanta.lake import Lake

    return Lake(chain.home).published().night


def test_an_unknown_server_gets_nothing(ssh_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "known").write_text("")
    monkeypatch.setenv("KANTA_SFTP_KNOWN_HOSTS", str(tmp_path / "known"))
    with pytest.raises(OSError, match="not found in known_hosts") as error:
        Sftp(urlsplit(ssh_url)).names()
    assert "PRIVATE KEY" not in str(error.value)


class Failing:
    """A place that fails so many times before each success, and says how often it was asked."""

    def __init__(self, failures: int) -> None:
        self.failures, self.asked = failures, 0

    def names(self, path: str = "") -> list[str]:
        self.asked += 1
        if self.asked <= self.failures:
            raise ConnectionResetError("gone")
        return ["S001"]

    read = upload = remove = names  # type: ignore[assignment]


@pytest.mark.parametrize(("failures", "found"), [(0, ["S001"]), (3, ["S001"]), (4, None)])
def test_a_remote_place_is_tried_again_a_few_times_with_growing_pauses(failures: int, found: list[str] | None) -> None:
    pauses: list[float] = []
    place = Failing(failures)
    patient = Patient(place, pauses.append)
    if found is None:
        with pytest.raises(ConnectionResetError):
            patient.names()
    else:
        assert patient.names() == found
    assert place.asked == min(failures, 3) + 1 + (found is None)  # the last looks whether the place itself answers
    assert all(0.5 * 2**n <= pause <= 2**n for n, pause in enumerate(pauses)), pauses


def test_a_transport_that_lies_about_a_rename_is_found_out(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if url.startswith("s3:"):
        pytest.skip("an object is put whole: nothing is renamed")
    place = _impatient(transport.open_place(Home(tmp_path), url))
    monkeypatch.setattr("os.replace", lambda *_, **__: None)
    monkeypatch.setattr(paramiko.SFTPClient, "posix_rename", lambda *_: None)
    with pytest.raises(OSError, match="manifest"):
        place.upload(b"{}", "S001/manifest.json")


class Dying(io.BytesIO):
    """A file of which so many bytes can be read; then the wire, or the disk, is gone."""

    def __init__(self, content: bytes, most: int) -> None:
        super().__init__(content)
        self.left = most

    def read(self, size: int | None = -1) -> bytes:
        if self.left <= 0 or size is None or size < 0:  # all of it cannot be read
            raise OSError(28, "No space left on device")
        found = super().read(min(self.left, size))
        self.left -= len(found)
        return found


def test_a_transport_that_dies_at_every_byte_leaves_no_file_under_its_name(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = _impatient(transport.open_place(Home(tmp_path), url))
    content = b"op,card_id\nU,K1\nU,K2\n"
    for most in range(len(content)):
        with monkeypatch.context() as patch:
            patch.setattr(transport, "_opened", lambda _, most=most: Dying(content, most))
            with pytest.raises(OSError, match="No space"):
                place.upload(content, "S001/cards.csv.gz")
        assert "cards.csv.gz" not in place.names("S001"), most
    place.upload(content, "S001/cards.csv.gz")
    assert place.read("S001/cards.csv.gz", 100) == content
    assert place.names("S001") == ["cards.csv.gz"]


def test_what_an_earlier_try_left_is_replaced_also_where_it_is_as_long(url: str, tmp_path: Path) -> None:
    place = _impatient(transport.open_place(Home(tmp_path), url))
    for content in (b"sealed once", b"sealed anew"):  # what is encrypted again is as long, and another text
        place.upload(content, "S001/cards.csv.gz.age")
    assert place.read("S001/cards.csv.gz.age", 100) == b"sealed anew"


def test_a_slow_transport_shows_a_file_under_its_name_only_when_all_of_it_has_arrived(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = _impatient(transport.open_place(Home(tmp_path), url))
    seen: list[str] = []

    class Trickling(io.BytesIO):
        """A file that gives one byte at a time, and lets others look meanwhile."""

        def read(self, size: int | None = -1) -> bytes:
            seen.extend(place.names("S001"))
            return super().read(1 if size and size > 0 else size)

    content = b"op,card_id\nU,K1\n"
    monkeypatch.setattr(transport, "_opened", lambda _: Trickling(content))
    place.upload(content, "S001/cards.csv.gz")
    assert len(seen) >= (0 if url.startswith("s3:") else len(content))  # an object is put whole
    assert "cards.csv.gz" not in seen
    assert place.read("S001/cards.csv.gz", 100) == content


def test_a_package_whose_upload_died_is_sent_by_the_next_try(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(transport, "_opened", lambda _: Dying(b"half of it", 4))
        assert chain.send() == [("S001", 1, "create_failed", "upload")]
    assert all(path.suffix == ".part" for path in chain.package(1).iterdir())
    assert chain.send() == [("S001", 1, "available", "")]
    assert chain.apply() == [(1, "applied", None)]


@pytest.mark.parametrize("scheme", ["sftp", "s3"])
def test_a_server_that_is_silent_is_given_up_and_concerns_one_store(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "SILENCE", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "y")
        kinds: dict[str, type[Sftp] | type[Bucket]] = {"sftp": Sftp, "s3": Bucket}
        with pytest.raises(OSError):  # noqa: PT011 - whatever the library says of it
            kinds[scheme](
                urlsplit(f"{scheme}://x@127.0.0.1:{port}/stores" if scheme == "sftp" else "s3://stores")
            ).names()


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_secrets_come_from_airflow_connections_and_are_in_no_message(
    ssh_url: str, s3_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("AIRFLOW_HOME", os.environ.get("AIRFLOW_HOME", str(tmp_path)))
    ssh, key, known = urlsplit(ssh_url), os.environ["KANTA_SFTP_KEY"], os.environ["KANTA_SFTP_KNOWN_HOSTS"]
    sftp = {"conn_type": "sftp", "host": ssh.hostname, "port": ssh.port, "login": ssh.username,
            "extra": {"private_key": key, "known_hosts": known}}  # fmt: skip
    password = "the-password-of-the-bucket"  # noqa: S105 - moto takes any
    bucket = {"conn_type": "aws", "login": "the-login", "password": password,
              "extra": {"endpoint_url": os.environ["AWS_ENDPOINT_URL"]}}  # fmt: skip
    monkeypatch.setenv("AIRFLOW_CONN_STORES_SFTP", json.dumps(sftp))
    monkeypatch.setenv("AIRFLOW_CONN_STORES_S3", json.dumps(bucket))
    for name in ("KANTA_SFTP_KEY", "KANTA_SFTP_KNOWN_HOSTS", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name)
    urls = (
        f"sftp://{ssh.path}/{tmp_path.name}?connection=stores_sftp",
        f"{s3_url}/{tmp_path.name}?connection=stores_s3",
    )
    for url in urls:
        place = transport.open_place(Home(tmp_path), url)
        place.upload(b"{}", "S001/manifest.json")
        assert place.read("S001/manifest.json", 10) == b"{}"
    (tmp_path / "known").write_text("")
    monkeypatch.setenv("AIRFLOW_CONN_BROKEN", json.dumps(sftp | {"extra": {"private_key": "not a key 1234"}}))
    messages = []
    for url in ("sftp://x?connection=broken", "sftp://x?connection=nobody"):
        with pytest.raises((OSError, KantaError)) as error:
            transport.open_place(Home(tmp_path), url).names()
        messages.append(str(error.value))
    assert "airflow connections add nobody" in messages[1]
    written = "\n".join((*messages, caplog.text, *capfd.readouterr()))
    for secret in (key, key.splitlines()[1], password, "not a key 1234"):
        assert secret not in written


@pytest.mark.parametrize("url", ["sftp://user:the-password@x/y", "s3://key:the-password@bucket/x"])
def test_a_password_in_a_url_is_refused_and_not_shown(tmp_path: Path, url: str) -> None:
    with pytest.raises(KantaError, match="password in its URL") as error:
        transport.open_place(Home(tmp_path), url)
    assert "the-password" not in str(error.value)


@pytest.mark.parametrize("name", ["KANTA_SFTP_KNOWN_HOSTS", "KANTA_SFTP_KEY_FILE"])
def test_a_key_file_that_is_not_there_is_no_empty_outbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, str(tmp_path / "nothing"))
    with pytest.raises(KantaError, match="is not there"):
        Sftp(urlsplit("sftp://user@127.0.0.1:1/x")).names("S001/1050")


def test_a_transport_nobody_knows_is_an_error_that_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(KantaError, match="sftp://"):
        transport.open_place(Home(tmp_path), "gopher://x/y")
    assert isinstance(_impatient(transport.open_place(Home(tmp_path), "s3://bucket/x")), Bucket)


@pytest.mark.parametrize("greeting", [b"", b"SSH-2.0-closes\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x00" * 64])
def test_a_server_that_closes_early_is_an_error_of_the_place_and_shows_no_traceback(
    greeting: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a process of its own, where nobody has set a log up."""
    program = """
import socket, sys, threading
from urllib.parse import urlsplit
from kanta.distribution.transport import Sftp
server = socket.create_server(("127.0.0.1", 0))
def answer():
    while True:
        client, _ = server.accept()
        client.sendall(bytes.fromhex(sys.argv[1]))
        client.close()
threading.Thread(target=answer, daemon=True).start()
place = Sftp(urlsplit(f"sftp://store@127.0.0.1:{server.getsockname()[1]}/out"))
try:
    place.names()
except OSError as error:
    print(f"an error of the place: {error}")
"""
    monkeypatch.setenv("KANTA_SFTP_KNOWN_HOSTS", str(tmp_path / "known"))
    (tmp_path / "known").touch()
    words = [sys.executable, "-c", program, greeting.hex()]
    done = subprocess.run(words, capture_output=True, text=True, cwd=REPOSITORY, timeout=120, check=False)
    assert "an error of the place" in done.stdout, done.stderr
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("error", [paramiko.SFTPError("Garbage packet received"), EOFError(), IndexError("short")])
def test_what_is_no_sftp_is_an_error_of_the_place(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    class Garbage:
        def listdir_attr(self, _: str) -> None:
            raise error

    monkeypatch.setattr(Sftp, "_connected", lambda _: Garbage())
    with pytest.raises(OSError, match="the SFTP server failed"):
        Sftp(urlsplit("sftp://store@place/out")).names()

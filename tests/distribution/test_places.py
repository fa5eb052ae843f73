"""Local places are hostile below their root; a remote one that is dead costs one verdict."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from kanta import distribution
from kanta.distribution import transport
from kanta.distribution.transport import Folders, Patient, UnreachableError
from tests.distribution.conftest import NIGHT, OPENING, Chain

PLACE = "S1/1050/00000001"


@pytest.mark.parametrize("link", ["S1", "S1/1050", "S1/1050/00000001"])
@pytest.mark.parametrize("relative", [True, False])
def test_nothing_is_written_read_or_removed_through_a_stores_link(tmp_path: Path, link: str, relative: bool) -> None:
    outbox = Folders(tmp_path / "outbox")
    outbox.upload(b"theirs", "S2/1050/00000001/cards")
    (tmp_path / "outbox" / link).parent.mkdir(parents=True, exist_ok=True)
    target = link.replace("S1", "S2")
    goal = "../" * link.count("/") + target if relative else tmp_path / "outbox" / target
    (tmp_path / "outbox" / link).symlink_to(goal)
    for work in (
        lambda: outbox.upload(b"ours", f"{PLACE}/cards"),
        lambda: outbox.upload(b"ours", f"{PLACE}/new"),
        lambda: outbox.read(f"{PLACE}/cards", 100),
        lambda: outbox.names(PLACE),
        lambda: outbox.stamps(PLACE),
        lambda: outbox.remove(f"{PLACE}/cards"),
    ):
        with pytest.raises(OSError, match=f"{link} is a link"):
            work()
    assert outbox.names("S2/1050/00000001") == ["cards"]
    assert outbox.read("S2/1050/00000001/cards", 100) == b"theirs"


def test_a_package_is_for_its_group_and_nobody_else_whatever_the_umask(tmp_path: Path) -> None:
    group = os.getgid()
    for umask in (0o000, 0o077):
        before = os.umask(umask)
        try:
            Folders(tmp_path / str(umask), group).upload(b"1", f"{PLACE}/cards")
        finally:
            os.umask(before)
        for path in (tmp_path / str(umask)).rglob("*"):
            wanted = 0o750 if path.is_dir() else 0o640
            assert (path.name, oct(stat.S_IMODE(path.stat().st_mode))) == (path.name, oct(wanted))
            assert path.stat().st_gid == group
        assert stat.S_IMODE((tmp_path / str(umask)).stat().st_mode) == 0o750


class Failing:
    """A place that counts what is asked of it; ``broken`` says which paths fail, "" all of them."""

    def __init__(self, *broken: str) -> None:
        self.broken, self.asked = broken, list[str]()

    def names(self, path: str = "") -> list[str]:
        self.asked.append(path)
        if any(path.startswith(each) for each in self.broken):
            raise OSError("it does not answer")
        return []

    def stamps(self, path: str) -> dict[str, str]:
        return dict.fromkeys(self.names(path), "")

    def read(self, path: str, most: int) -> bytes | None:
        self.names(path)
        return None

    def upload(self, content: bytes, path: str) -> None:
        self.names(path)

    def remove(self, path: str) -> None:
        self.names(path)


def test_a_dead_place_is_tried_for_its_first_database_alone() -> None:
    dead, pauses = Failing(""), list[float]()
    place = Patient(dead, pauses.append)
    for store in ("S1", "S2", "S3"):
        for work in (lambda at: place.names(at), lambda at: place.upload(b"", at), lambda at: place.read(at, 1)):
            with pytest.raises(UnreachableError, match="it does not answer"):
                work(store)
    assert dead.asked == ["S1"] * 4 + [""]
    assert len(pauses) == 3
    assert place.verdict == "it does not answer"


def test_a_store_whose_folder_fails_is_no_verdict_on_the_place() -> None:
    half, pauses = Failing("S1"), list[float]()
    place = Patient(half, pauses.append)
    with pytest.raises(OSError, match="it does not answer") as error:
        place.names("S1")
    assert not isinstance(error.value, UnreachableError)
    assert place.names("S2") == []
    assert place.verdict == ""


def test_while_a_place_is_dead_its_databases_wait_and_it_is_said_once(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.retailer.channel("S002", data_group="nordic")
    chain.publish()
    dead = Failing("")
    with monkeypatch.context() as patch:
        patch.setattr(transport, "outbox", lambda home: Patient(dead, lambda seconds: None))
        for night in (NIGHT, OPENING):
            dead.asked.clear()
            chain.publish(night)
            told = distribution.run(chain.home, night)
            assert told | {"bytes": 0} == {
                "packages": 0, "bytes": 0, "no_data": 0, "applied": 0, "failed": [], "doubted": [], "waiting": 2,
                "unreachable": "the outbox does not answer: it does not answer",
            }  # fmt: skip
            assert dead.asked == ["S001/1050"] * 4 + [""]
    assert [row for row in chain.send(OPENING) if row[2] == "available"] == [
        ("S001", 2, "available", ""), ("S002", 2, "available", ""),
    ]  # fmt: skip


def test_a_place_that_dies_while_packages_go_up_leaves_them_waiting_and_the_same_bytes_go_up_later(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.retailer.channel("S002", data_group="nordic")
    chain.publish()
    local = Folders(chain.home.outbox)

    class Dying(Failing):
        def upload(self, content: bytes, path: str) -> None:
            if "manifest" in path:
                self.broken = ("",)
            super().upload(content, path)
            local.upload(content, path)

    with monkeypatch.context() as patch:
        patch.setattr(transport, "outbox", lambda home: Patient(Dying(), lambda seconds: None))
        assert chain.send() == [("S001", 1, "started", ""), ("S002", 1, "started", "")]
    recorded = chain.packages()
    assert chain.send() == [("S001", 1, "available", ""), ("S002", 1, "available", "")]
    assert chain.packages() == recorded


def test_a_store_whose_folder_is_a_link_fails_and_the_others_are_served(chain: Chain, tmp_path: Path) -> None:
    chain.retailer.channel("S002", data_group="nordic")
    chain.publish()
    (tmp_path / "elsewhere").mkdir()
    (chain.home.outbox / "S001").mkdir(parents=True)
    (chain.home.outbox / "S001" / "1050").symlink_to(tmp_path / "elsewhere")
    sent = distribution.send(chain.home, NIGHT)
    assert {session.database: (session.state, session.detail) for session in sent} == {
        "S001": ("create_failed", "Its outbox or inbox cannot be listed: S001/1050 is a link."),
        "S002": ("available", ""),
    }
    assert list((tmp_path / "elsewhere").iterdir()) == []

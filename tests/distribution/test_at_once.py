"""Several processes at once: what one of them does while another is half-way."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from kanta import distribution
from kanta.distribution import sending
from kanta.distribution.transport import Folders
from tests.distribution.conftest import NIGHT, OPENING, Chain
from tests.distribution.test_operations import DAY, right

pytestmark = pytest.mark.slow  # whole nights


def test_two_runs_at_once_send_one_package(published: Chain) -> None:
    moved: list[Any] = []
    runs = [threading.Thread(target=lambda: moved.extend(published.send())) for _ in range(2)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert moved == [("S001", 1, "available", "")]


def test_groups_at_once_do_not_disturb_each_other(published: Chain) -> None:
    for number in range(2, 5):
        published.retailer.channel(f"S00{number}", data_group=f"g{number}")
    runs = [threading.Thread(target=published.send, args=(NIGHT, group)) for group in ("nordic", "g2", "g3", "g4")]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    for number in range(1, 5):
        assert published.states(f"S00{number}") == [(1, "started"), (1, "available")]


def test_a_night_published_while_one_group_is_being_sent_to_reaches_all_of_its_stores(
    published: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other group's comparison marks what all stores share as changed, before this group's package is recorded."""
    chain, make = published, sending._Night.make
    chain.retailer.channel("S002", data_group="g2")
    chain.send()
    for store in ("S001", "S002"):
        chain.apply(store)
    chain.retailer.card("K2", channel_id="S001")
    chain.retailer.card("K3", channel_id="S002")
    chain.publish(OPENING)

    def overtaken(night: Any) -> Any:
        if night.group == "g2" and night.business_date == OPENING:
            chain.retailer.programme["programs"][0]["pool_related_cards"] = True
            chain.publish(OPENING + DAY)
            assert chain.send(OPENING + DAY, "nordic")[-1][2] == "available"
        return make(night)

    monkeypatch.setattr(sending._Night, "make", overtaken)
    assert chain.send(OPENING, "g2")[-1] == ("S002", 2, "available", "")
    chain.apply("S002")
    chain.publish(OPENING + 2 * DAY)
    chain.send(OPENING + 2 * DAY, "g2")
    chain.apply("S002")
    right(chain, tmp_path / "view", "S002", OPENING + 2 * DAY)


def test_what_is_canceled_while_it_is_on_its_way_does_not_stay_in_the_outbox(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = Folders.upload

    def canceled(place: Folders, content: bytes, path: str) -> None:
        if path.endswith("manifest.json"):
            distribution.cancel(chain.home, "S001", "1050", 1)
        upload(place, content, path)

    monkeypatch.setattr(Folders, "upload", canceled)
    chain.send()
    assert chain.states()[-1] == (1, "canceled")
    assert not chain.package(1).exists()


def test_an_erasure_is_not_stopped_by_what_a_run_that_died_left_half_written(chain: Chain) -> None:
    chain.retailer.sends(schedules=[{"id": "customers", "jobs": ["1010"]}])
    chain.retailer.customer("C7", first_name="Maija", created_channel_id="S001")
    chain.send()
    left = chain.home.lake / "sent" / "1010" / ".all.part"
    left.mkdir()
    (left / "customers.parquet").write_bytes(b"PAR1")
    assert [session.state for session in distribution.erased(chain.home, ["C7"], [])] == ["canceled", "canceled"]


def test_an_answer_that_is_being_written_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("00000001.ack.json", "00000002.ack.json.part"):
        (tmp_path / name).touch()
    scandir = os.scandir

    def renamed(path: str) -> Any:
        with scandir(path) as entries:
            names = list(entries)
        (tmp_path / "00000002.ack.json.part").rename(tmp_path / "00000002.ack.json")
        return contextlib.nullcontext(names)

    monkeypatch.setattr(os, "scandir", renamed)
    assert list(Folders(tmp_path).stamps("")) == ["00000001.ack.json"]

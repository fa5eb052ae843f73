"""Sessions: what is sent when, and that every step may be the last one of a process (spec 6-distribution)."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from kanta import contracts, distribution, night
from kanta.distribution import figures, packing
from kanta.distribution.protocol import LAST_SEQUENCE, Place
from kanta.distribution.sessions import FINAL, NEXT, Session, recording
from kanta.distribution.transport import Folders
from kanta.errors import KantaError
from kanta.home import Home
from kanta.lake import Lake
from kanta.report import packages
from tests.distribution.conftest import NIGHT, OPENING, Chain, Retailer, held

pytestmark = pytest.mark.slow  # whole nights

DAY = timedelta(days=1)


def change(chain: Chain, number: int = 2) -> None:
    chain.retailer.card(f"K{number}", channel_id="S001")


def right(chain: Chain, workspace: Path, database: str = "S001") -> None:
    """The store holds exactly V(n)."""
    assert held(chain.stores / f"{database}.duckdb") == chain.retailer.view(workspace)[database]


# ── a night ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_session_goes_from_started_to_available_and_is_applied_by_its_acknowledgement(chain: Chain) -> None:
    assert chain.send() == [("S001", 1, "available", "")]
    assert chain.apply() == [(1, "applied", None)]
    assert chain.acknowledge() == [("S001", 1, "applied", "")]
    assert chain.states() == [(1, "started"), (1, "available"), (1, "applied")]


def test_the_same_night_again_moves_nothing(chain: Chain) -> None:
    chain.has_sent()
    files = {path: path.stat().st_mtime_ns for path in chain.home.outbox.rglob("*")}
    assert chain.send() == []
    assert {path: path.stat().st_mtime_ns for path in chain.home.outbox.rglob("*")} == files
    chain.apply()
    chain.acknowledge()
    assert chain.send() == []
    assert chain.acknowledge() == []
    assert chain.states() == [(1, "started"), (1, "available"), (1, "applied")]


def test_a_night_without_a_change_is_no_data_once_and_sends_nothing(chain: Chain) -> None:
    chain.has_sent()
    chain.publish(OPENING)
    assert chain.send(OPENING) == [("S001", 2, "no_data", "")]
    assert chain.send(OPENING) == []
    assert not chain.package(2).exists()
    change(chain)
    chain.publish(OPENING + DAY)
    assert chain.send(OPENING + DAY) == [("S001", 3, "available", "")]


def test_a_night_published_anew_with_other_rows_sends_another_package(chain: Chain, tmp_path: Path) -> None:
    chain.has_sent()
    change(chain)
    chain.publish()
    assert chain.send() == [("S001", 2, "available", "")]
    assert [status for _, status, _ in chain.apply()] == ["applied", "applied"]
    right(chain, tmp_path / "view")


def test_taking_in_acknowledgements_is_part_of_sending(chain: Chain) -> None:
    chain.has_sent()
    chain.apply()
    chain.publish(OPENING)
    assert chain.send(OPENING) == [("S001", 1, "applied", ""), ("S001", 2, "no_data", "")]


def test_dates_never_go_back_an_earlier_date_is_served_by_the_newest_publication(chain: Chain) -> None:
    chain.publish(OPENING)
    assert chain.send(NIGHT) == [("S001", 1, "available", "")]
    assert chain.manifest(1)["business_date"] == str(OPENING)
    assert chain.send(OPENING) == []


def test_a_publication_older_than_the_last_session_sends_nothing(chain: Chain) -> None:
    chain.publish(OPENING)
    chain.send(OPENING)
    change(chain)
    newest = Lake(chain.home).publications()[-1]
    newest.rename(newest.with_suffix(".gone"))
    assert chain.send(NIGHT) == []


def test_a_night_that_is_not_published_is_an_error_that_says_what_to_do(chain: Chain) -> None:
    for refused in (lambda: chain.send(OPENING), lambda: distribution.groups(chain.home, OPENING)):
        with pytest.raises(KantaError, match=f"kanta run --date {OPENING}"):
            refused()


def test_groups_are_served_one_by_one_and_together_they_are_all(chain: Chain) -> None:
    chain.retailer.channel("S002", data_group="south")
    chain.retailer.channel("S003", data_group="nordic")
    assert distribution.groups(chain.home, NIGHT) == ["nordic", "south"]
    assert chain.send(data_group="south") == [("S002", 1, "available", "")]
    assert chain.send(data_group="nobody's") == []
    assert chain.send() == [("S001", 1, "available", ""), ("S003", 1, "available", "")]


def test_a_database_that_moves_to_another_group_goes_on(chain: Chain) -> None:
    chain.has_sent()
    chain.retailer.channels[0]["data_group"] = "south"
    change(chain)
    chain.publish(OPENING)
    assert chain.send(OPENING, "nordic") == []
    assert chain.send(OPENING, "south") == [("S001", 2, "available", "")]


# ── sequences ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("where", ["outbox", "inbox"])
def test_sequences_are_never_reused_also_when_the_lake_was_restored(chain: Chain, where: str) -> None:
    chain.has_sent()
    if where == "outbox":
        chain.package(57).mkdir()
    else:
        chain.ack(57).parent.mkdir(parents=True)
        chain.ack(57).write_text("{}")
    chain.publish(OPENING)
    # Unchanged, but what the store has is not known: so it is sent.
    assert chain.send(OPENING)[-1] == ("S001", 58, "available", "")
    assert chain.manifest(58)["mode"] == "full"
    chain.publish(OPENING + DAY)
    assert chain.send(OPENING + DAY) == [("S001", 59, "no_data", "")]


@pytest.mark.parametrize("name", ["57", "00000057.part", "000000057", "00000000", "xxxxxxxx", "٠٠٠٠٠٠٥٧"])
def test_what_is_no_sequence_counts_for_none(chain: Chain, name: str) -> None:
    chain.package(1).parent.mkdir(parents=True)
    (chain.package(1).parent / name).mkdir()
    assert chain.send() == [("S001", 1, "available", "")]


def test_when_no_sequence_is_left_the_database_fails_alone(chain: Chain) -> None:
    chain.retailer.channel("S002")
    chain.package(LAST_SEQUENCE).mkdir(parents=True)
    for state in ("create_failed", "create_failed", "suspended"):
        assert chain.send()[0][:3] == ("S001", 1, state)
    assert chain.manifest(1, "S002")["sequence"] == 1
    chain.package(LAST_SEQUENCE).rmdir()
    distribution.retry(chain.home, "S001")
    assert chain.manifest(1)["sequence"] == 1


# ── failures of one store ────────────────────────────────────────────────────────────────────────────────────────


def broken_outbox(chain: Chain) -> Path:
    """A file where the store's folder should be: it can be neither listed nor written."""
    place = chain.home.outbox / "S001"
    place.parent.mkdir(parents=True)
    place.write_text("in the way")
    return place


def test_a_broken_store_stops_no_other_and_its_next_try_is_the_same_session(chain: Chain, tmp_path: Path) -> None:
    chain.retailer.channel("S002")
    place = broken_outbox(chain)
    assert chain.send() == [("S001", 1, "create_failed", "view"), ("S002", 1, "available", "")]
    assert chain.send() == [("S001", 1, "create_failed", "view")]
    place.unlink()
    assert chain.send() == [("S001", 1, "available", "")]
    assert chain.states() == [
        (1, "started"), (1, "create_failed"), (1, "started"), (1, "create_failed"), (1, "started"), (1, "available"),
    ]  # fmt: skip
    chain.apply()
    right(chain, tmp_path / "view")


def test_a_failed_upload_is_tried_again_with_the_same_bytes(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Folders, "upload", full_disk("tiers.csv.gz"))
        assert chain.send() == [("S001", 1, "create_failed", "upload")]
    assert not (chain.package(1) / "manifest.json").exists()
    recorded = chain.packages()
    assert chain.send() == [("S001", 1, "available", "")]
    sent = hashlib.sha256((chain.package(1) / "manifest.json").read_bytes()).hexdigest()
    assert recorded == chain.packages() == [(1, sent)]


def full_disk(name: str) -> Callable[..., None]:
    uploaded = Folders.upload

    def upload(self: Folders, content: bytes, path: str) -> None:
        if path.endswith(name):
            raise OSError(28, "No space left on device")
        uploaded(self, content, path)

    return upload


@pytest.mark.parametrize("when", ["that night", "the night after"])
def test_a_try_with_other_bytes_takes_a_new_sequence(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, when: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Folders, "upload", full_disk("manifest.json"))
        chain.send()
    change(chain)
    day = NIGHT if when == "that night" else OPENING
    chain.publish(day)
    assert chain.send(day) == [("S001", 1, "canceled", "superseded"), ("S001", 2, "available", "")]
    assert chain.apply() == [(2, "applied", None)]
    right(chain, tmp_path / "view")


def test_a_database_whose_name_is_no_plain_name_fails_and_touches_no_path(chain: Chain) -> None:
    chain.retailer.channel("S002", "../../evil")
    chain.retailer.channel("S003")
    chain.retailer.channels[-1]["database"] = ""
    chain.retailer.channel("S004", "a/b")
    sessions = chain.send()
    for _ in range(3):
        chain.send()  # suspended, they stop no other either
    assert sessions == [
        ("", 1, "create_failed", "view"), ("../../evil", 1, "create_failed", "view"), ("S001", 1, "available", ""),
        ("a/b", 1, "create_failed", "view"),
    ]  # fmt: skip
    assert [path.name for path in chain.home.outbox.iterdir()] == ["S001"]
    assert not list(chain.home.root.parent.rglob("*evil*"))


def test_a_staging_disk_that_fails_for_one_store_fails_that_store(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.retailer.channel("S002")
    chain.retailer.card("K2", channel_id="S002")
    whole, written, failed = packing._write, packing.Staging.write, list[str]()

    def half(self: packing.Staging, content: bytes) -> None:
        written(self, content[:5])
        raise OSError(28, "No space left on device")

    def write(form: str, of: Any, *more: Any) -> Any:
        if of.dataset != "cards" or failed:
            return whole(form, of, *more)
        failed.append(of.dataset)
        with monkeypatch.context() as patch:
            patch.setattr(packing.Staging, "write", half)
            return whole(form, of, *more)

    monkeypatch.setattr(packing, "_write", write)
    assert chain.send() == [("S001", 1, "create_failed", "view"), ("S002", 1, "available", "")]
    assert chain.apply("S002") == [(1, "applied", None)]


def test_numbers_of_a_run_name_the_stores_that_failed(chain: Chain) -> None:
    chain.retailer.channel("S002")
    broken_outbox(chain)
    told = distribution.run(chain.home, NIGHT)
    assert told == {
        "packages": 1,
        "bytes": told["bytes"],
        "no_data": 0,
        "applied": 0,
        "failed": ["S001"],
        "doubted": [],
    }
    assert told["bytes"] > 0


# ── every step may be the last one of a process ──────────────────────────────────────────────────────────────────


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize(
    ("moment", "at", "then"),
    [
        ("before", "programs.csv.gz", "rerun"),
        ("part", "cards.csv.gz", "rerun"),
        ("before", "manifest.json", "rerun"),
        ("after", "manifest.json", "rerun"),
        ("part", "cards.csv.gz", "next night"),
        ("after", "manifest.json", "next night"),
        ("part", "manifest.json", "next night, changed"),
        ("after", "manifest.json", "next night, changed"),
    ],
)
def test_killed_while_uploading_the_next_run_is_right(
    chain: Chain, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, moment: str, at: str, then: str
) -> None:
    uploaded = Folders.upload

    def upload(self: Folders, content: bytes, path: str) -> None:
        if not path.endswith(at):
            uploaded(self, content, path)
            return
        if moment == "part":
            (self.root / path).with_suffix(".gz.part").write_bytes(b"half")
        if moment == "after":
            uploaded(self, content, path)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Folders, "upload", upload)
        with pytest.raises(Killed):
            chain.send()
    went_up = (moment, at) == ("after", "manifest.json")
    if then != "rerun":
        chain.publish(OPENING)
    if then == "next night, changed":
        change(chain)
    chain.send(NIGHT if then == "rerun" else OPENING)
    expected = {
        "rerun": [(1, "applied")],
        "next night": [(1, "applied"), (2, "no_data")] if went_up else [(1, "canceled"), (2, "applied")],
        "next night, changed": [(1, "applied" if went_up else "canceled"), (2, "applied")],
    }[then]
    chain.apply()
    chain.acknowledge(OPENING)
    assert list(dict(chain.states()).items()) == expected, chain.states()
    right(chain, tmp_path / "view")


def test_killed_before_any_commit_the_next_run_is_right(
    published: Chain, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    chain, survived = published, 0
    while True:
        steps = [0]
        with monkeypatch.context() as patch:
            for step in ("change", "move_head"):
                patch.setattr(Lake, step, killed_before(getattr(Lake, step), survived + 1, steps))
            try:
                everything(chain)
                break
            except Killed:
                pass
        everything(chain)
        right(chain, tmp_path / f"view {survived}")
        assert set(dict(chain.states()).values()) <= FINAL, chain.states()
        sequences = [sequence for sequence, state in chain.states() if state == "started"]
        assert len(sequences) == len(set(sequences)), chain.states()
        survived += 1
        change(chain, survived + 1)
        chain.publish()
    assert survived >= 8, "three recordings, each with its commits and the head"
    right(chain, tmp_path / "view")


def everything(chain: Chain) -> None:
    chain.send()
    chain.apply()
    chain.acknowledge()


def killed_before(step: Callable[..., Any], number: int, steps: list[int]) -> Callable[..., Any]:
    """The step, which the process does not live to see when it is the so-manieth."""

    def wrapped(*arguments: Any, **named: Any) -> Any:
        steps[0] += 1
        if steps[0] == number:
            raise Killed
        return step(*arguments, **named)

    return wrapped


def test_a_store_that_answers_before_the_upload_is_recorded_is_believed(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded = Folders.upload

    def upload(self: Folders, content: bytes, path: str) -> None:
        uploaded(self, content, path)
        if path.endswith("manifest.json"):
            patch.undo()
            chain.apply()
            chain.acknowledge()

    with monkeypatch.context() as patch:
        patch.setattr(Folders, "upload", upload)
        chain.send()
    assert chain.states() == [(1, "started"), (1, "available"), (1, "applied")]
    assert chain.send() == []


# ── the states ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_states_are_the_contracts_and_only_final_ones_end() -> None:
    allowed = contracts.lake()["distribution.sessions"].column("state").allowed
    assert set(NEXT) - {""} == set(allowed)
    assert {state for state, following in NEXT.items() if not following} == FINAL
    assert {following for states in NEXT.values() for following in states} == set(NEXT) - {""}


def test_a_step_that_cannot_follow_is_refused(chain: Chain) -> None:
    session = Session("S001", "1050", 1, "applied", "", "", NIGHT, "nordic", 3)
    with pytest.raises(ValueError, match="applied cannot become available"), recording(chain.home, NIGHT) as book:
        book.step(session, "available")
    assert chain.states() == []


def test_status_shows_where_each_store_stands(published: Chain) -> None:
    assert "No packages yet" in distribution.table(distribution.status(published.home))
    published.retailer.channel("S002")
    published.send()
    published.apply()
    published.acknowledge()
    rows = distribution.status(published.home)
    assert [(row["database"], row["state"], row["applied_sequence"], row["waiting"]) for row in rows] == [
        ("S001", "applied", 1, 0), ("S002", "available", 0, 1),
    ]  # fmt: skip
    assert [row["detail"] for row in rows] == ["attempt 1", ""]
    assert distribution.status(published.home, "S002") == rows[1:]
    assert distribution.table(rows).count("\n") >= 3


def test_stores_that_are_silent_and_stores_without_tonights_packages_are_named(published: Chain) -> None:
    published.retailer.channel("S002")
    assert figures.late(published.home, NIGHT) == ["S001", "S002"]
    published.send()
    assert figures.late(published.home, NIGHT) == []
    published.apply("S002")
    for number in (1, 2):
        change(published, number + 1)
        published.publish(NIGHT + number * DAY)
        broken = published.home.outbox / "S002" / "1050"
        shutil.rmtree(broken, ignore_errors=True)
        broken.write_text("in the way")
        published.send(NIGHT + number * DAY)
    assert figures.late(published.home, NIGHT + 2 * DAY) == ["S002"]
    with night.stage(published.home, "reading", NIGHT) as stage:
        stage.attach("distribution.session_states")
        found = stage.engine.rows(packages.SILENT, {"night": NIGHT + 2 * DAY})
    assert found == [("S001", "1050", NIGHT, 3, "available", 2)]
    with pytest.raises(KantaError, match="not published"):
        figures.late(published.home, NIGHT + 3 * DAY)


def test_a_recording_reads_the_steps_that_matter_and_what_is_new(published: Chain) -> None:
    line, kept = ("S001", "1050"), published.home.lake / "sent" / "steps.parquet"

    def sessions(*also: int) -> list[tuple[int, str]]:
        places = [Place(database="S001", job="1050", sequence=sequence) for sequence in also]
        with recording(published.home, NIGHT) as book:
            return [(session.sequence, session.state) for session in book.sessions([line], places)[line]]

    for sequence, states in enumerate((["available", "applied"], ["no_data"], ["no_data"], ["available"]), start=1):
        with recording(published.home, NIGHT) as book:
            session = book.begin(line, sequence, NIGHT, "nordic")
            for state in states:
                session = book.step(session, state)
    assert sessions() == [(4, "available")]
    assert set(pq.read_table(kept)["sequence"].to_pylist()) == {4}
    assert sessions(1, 3, 9) == [(1, "applied"), (3, "no_data"), (4, "available")], "what a store answers of is read"
    for worthless in (pq.read_table(kept).slice(0, 0).replace_schema_metadata({"kanta.files": '["merged"]'}), None):
        pq.write_table(worthless, kept) if worthless is not None else kept.write_bytes(b"PAR1")
        assert sessions() == [(4, "available")]
        assert sessions(1) == [(1, "applied"), (4, "available")]


def test_nothing_is_left_behind_in_the_lake(published: Chain) -> None:
    published.send()
    work = published.home.lake / "work" / "distribution"
    assert {path.name for path in work.iterdir()} == {"all.lock"}


# ── from a real lake ─────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_sent_is_read_from_the_published_lake(tmp_path: Path, retailer: Retailer) -> None:
    home = Home(tmp_path / "home")
    (version,) = retailer.versions()
    decision = {"effective_from": str(version.effective_from), "text": version.text, "origin": version.origin}
    channel = {"channel_id": "S001", "database": "S001", "data_group": "nordic", "org_path": "/EU", "kind": "store"}
    card = {"card_id": "K1", "program_id": "club", "card_type": "no_tender", "customer_id": "C7", "channel_id": "S001"}
    with night.stage(home, "loyalty", NIGHT) as stage:
        content = {"decision_id": "1", "kind": "programme_version", "content": json.dumps(decision)}
        land(stage, "ops.decisions", {**content, "recorded_on": NIGHT, "seq": 1})
        drop = {"drop_id": f"hq/{NIGHT}/hq", "drop_date": NIGHT, "seq": 1}
        land(stage, "landed.channels", {**channel, **drop})
        land(stage, "landed.loyalty_cards", {**card, **drop, "enrolled_from": NIGHT})
    lake = Lake(home)
    lake.publish(NIGHT)
    with night.stage(home, "loyalty", NIGHT) as stage:
        land(stage, "landed.channels", {**channel, **drop, "channel_id": "S002", "database": "S002"})
    assert distribution.groups(home, NIGHT) == ["nordic"]
    assert distribution.send(home, NIGHT, "nobody's") == []
    (sent,) = distribution.send(home, NIGHT)
    assert (sent.database, sent.state) == ("S001", "available"), "S002 is not published yet"
    cards = gzip.decompress((home.outbox / "S001/1050/00000001/cards.csv.gz").read_bytes()).decode()
    assert cards.endswith(f"\nU,K1,club,no_tender,C7,{NIGHT},,\n"), cards


def test_a_lake_made_anew_takes_answers_to_the_one_before(published: Chain) -> None:
    published.ack(57).parent.mkdir(parents=True)
    published.ack(57).write_text("{}")
    assert published.send() == [("S001", 58, "available", "")]
    assert published.rows("distribution.acknowledgements", "sequence, disbelief") == [(57, "unreadable")]


def test_without_a_recorded_programme_there_is_nothing_to_send(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    Lake(home).publish(NIGHT)
    with pytest.raises(KantaError, match="recorded the programme"):
        distribution.send(home, NIGHT)


def land(stage: night.Night, table: str, row: dict[str, Any]) -> None:
    """Adds one row to a table; what it does not name is empty."""
    names = night.contract_of(table).names
    stage.engine.register("test.row", pa.Table.from_pylist([{name: row.get(name) for name in names}]))
    stage.append(table, "select * from test.row")

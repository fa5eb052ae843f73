"""Acknowledgements: which are believed, and what those move (spec 6-distribution, "Believed", table of states)."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from kanta import distribution
from kanta.distribution.inbox import Answer, disbelief
from kanta.distribution.protocol import LAST_ATTEMPT, Acknowledgement, Place
from kanta.distribution.sessions import Heard, Session
from kanta.distribution.transport import Folders
from tests.distribution.conftest import NIGHT, OPENING, Chain, held

pytestmark = pytest.mark.slow  # whole nights

DAY = timedelta(days=1)
OURS, OTHER = "a" * 64, "b" * 64
TOTALS = {"rows": {"cards": 1}, "cards": 1, "available": {"points": "1.00"}, "tiers": {}}
APPLIED: dict[str, Any] = {
    "database": "S001", "job": "1050", "sequence": 43, "manifest_sha256": OURS, "attempt": 1, "status": "applied",
    "reason": None, "applied_sequence": 43, "applied_manifest_sha256": OURS, "rows": {"cards": 1},
    "control_totals": TOTALS, "message": "",
}  # fmt: skip
GAP = {"status": "apply_failed", "reason": "gap", "applied_sequence": 40, "control_totals": {}}
BAD = {"status": "download_failed", "reason": "bad_manifest", "control_totals": {}}


def answer(**changed: Any) -> Answer:
    said = Acknowledgement.model_validate_json(json.dumps({**APPLIED, **changed}))
    return Answer(Place(database="S001", job="1050", sequence=43), "f" * 64, said)


def session(state: str = "available") -> Session:
    package: dict[str, Any] = {
        "manifest_sha256": OURS,
        "control_totals": json.dumps(TOTALS),
        "was_available": state != "started",
    }
    return Session("S001", "1050", 43, state, "", "", NIGHT, "nordic", 2, mode="full", view_sha256=OTHER, **package)


# ── what is believed ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({}, ""),
        ({"database": "S002"}, "place"),
        ({"job": "1010"}, "place"),
        ({"sequence": 44}, "place"),
        ({"manifest_sha256": OTHER, "applied_manifest_sha256": OTHER}, "hash"),
        ({"control_totals": {**TOTALS, "cards": 2}}, "totals"),
        ({"control_totals": {}}, "totals"),
        ({"control_totals": {**TOTALS, "available": {"points": "1.000"}}}, "totals"),
        ({"applied_sequence": 42}, "position"),
        ({"applied_manifest_sha256": OTHER}, "position"),
        ({"applied_manifest_sha256": None}, "position"),
        ({"applied_sequence": 57, "applied_manifest_sha256": OTHER}, ""),  # applied before, stands further on
        (GAP, ""),
        ({**GAP, "manifest_sha256": OTHER}, "hash"),
        (BAD, ""),
        ({**BAD, "manifest_sha256": OTHER}, ""),  # what it could not read has any hash
        ({**BAD, "manifest_sha256": OTHER, "status": "apply_failed"}, "hash"),
        ({"status": "requested", "applied_sequence": 0, "applied_manifest_sha256": None, "control_totals": {}}, ""),
    ],
    ids=str,
)
def test_belief_goes_by_place_hash_position_and_totals(changed: dict[str, Any], why: str) -> None:
    assert disbelief(answer(**changed), session(), Heard()) == why


@pytest.mark.parametrize(
    ("heard", "why"),
    [
        (Heard(), ""),
        (Heard(highest=43, attempts={43: 1}), "attempt"),
        (Heard(highest=43, attempts={43: 2}), "attempt"),
        (Heard(highest=44, attempts={44: 1}), "older"),
        (Heard(highest=42, attempts={42: 9}), ""),
    ],
)
def test_an_attempt_is_believed_once_and_nothing_before_a_higher_sequence(heard: Heard, why: str) -> None:
    assert disbelief(answer(), session(), heard) == why


def test_a_sequence_that_was_never_recorded_or_has_no_package_is_not_believed() -> None:
    assert disbelief(answer(), None, Heard()) == "unknown"
    no_data = Session("S001", "1050", 43, "no_data", "", "", NIGHT, "nordic", 2)
    assert disbelief(answer(), no_data, Heard()) == "unknown"


def test_what_never_was_up_cannot_have_a_bad_manifest() -> None:
    assert disbelief(answer(**BAD, manifest_sha256=OTHER), session("started"), Heard()) == "hash"


def test_a_hash_in_upper_case_is_the_same_hash() -> None:
    changed = {"manifest_sha256": OURS.upper(), "applied_manifest_sha256": OURS.upper()}
    assert disbelief(answer(**changed), session(), Heard()) == ""


def test_what_is_no_acknowledgement_is_not_believed() -> None:
    unreadable = Answer(Place(database="S001", job="1050", sequence=43), "f" * 64, None)
    assert disbelief(unreadable, session(), Heard()) == "unreadable"


# ── what it moves ────────────────────────────────────────────────────────────────────────────────────────────────


def say(chain: Chain, sequence: int, **changed: Any) -> None:
    """Puts an acknowledgement of a package into the inbox, as its store would unless ``changed``."""
    sha256 = hashlib.sha256((chain.package(sequence) / "manifest.json").read_bytes()).hexdigest()
    said = {
        **APPLIED, "sequence": sequence, "manifest_sha256": sha256, "applied_sequence": sequence,
        "applied_manifest_sha256": sha256, "control_totals": chain.manifest(sequence)["control_totals"], **changed,
    }  # fmt: skip
    chain.ack(sequence).parent.mkdir(parents=True, exist_ok=True)
    chain.ack(sequence).write_text(json.dumps(said))


def disbelieved(chain: Chain) -> list[tuple[Any, ...]]:
    return chain.rows("distribution.acknowledgements", "sequence, attempt, disbelief")


def test_a_session_follows_what_its_store_says(chain: Chain) -> None:
    chain.retailer.sends(try_count=9)
    chain.send()
    steps = ("requested", "downloaded", "apply_failed", "download_failed", "download_failed", "applied")
    for attempt, status in enumerate(steps, start=1):
        say(chain, 1, status=status, attempt=attempt)
        assert chain.acknowledge() == [("S001", 1, status, "")]
    assert [state for _, state in chain.states()] == ["started", "available", *steps]


def test_an_acknowledgement_seen_before_is_not_taken_in_again(chain: Chain) -> None:
    chain.has_sent()
    say(chain, 1)
    assert chain.acknowledge() == [("S001", 1, "applied", "")]
    assert chain.acknowledge() == []
    os.utime(chain.ack(1))
    assert chain.acknowledge() == []
    assert disbelieved(chain) == [(1, 1, None)]


def test_an_answer_is_read_once_and_again_when_it_is_changed_or_what_was_read_is_lost(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.has_settled()
    opened, read = list[str](), Folders.read

    def counted(self: Folders, path: str, most: int) -> bytes | None:
        opened.append(path)
        return read(self, path, most)

    monkeypatch.setattr(Folders, "read", counted)

    def acknowledged() -> tuple[list[str], int]:
        opened.clear()
        chain.acknowledge()
        return list(opened), len(chain.rows("distribution.acknowledgements", "file_sha256"))

    path = "S001/1050/00000001.ack.json"
    assert acknowledged() == ([], 1)
    other = json.loads(chain.ack(1).read_bytes()) | {"attempt": 2}
    chain.ack(1).write_text(json.dumps(other, separators=(",", ":")) + "\n")
    assert acknowledged() == ([path], 2), "another attempt has as many bytes"
    assert acknowledged() == ([], 2)
    for file in (chain.home.lake / "sent").glob("answers.*"):
        file.write_bytes(b"PAR1")
    assert acknowledged() == ([path], 2)
    assert chain.memory is not None
    chain.memory.seq -= 1  # a lake that was restored
    assert acknowledged()[0] == [path]


def test_a_replayed_attempt_is_reported_and_moves_nothing(chain: Chain) -> None:
    chain.has_sent()
    say(chain, 1, status="requested", attempt=2)
    chain.acknowledge()
    say(chain, 1, status="apply_failed", reason="gap", attempt=1)
    assert chain.acknowledge() == []
    assert disbelieved(chain) == [(1, 1, "attempt"), (1, 2, None)]


def test_a_forged_attempt_that_none_can_follow_keeps_no_store_from_applying(chain: Chain) -> None:
    chain.has_sent()
    say(chain, 1, status="requested", attempt=LAST_ATTEMPT)
    chain.acknowledge()
    assert chain.apply() == [(1, "applied", None)]
    assert chain.acknowledge() == []
    assert disbelieved(chain) == [(1, LAST_ATTEMPT, "attempt"), (1, LAST_ATTEMPT, None)]
    chain.retailer.card("K2", channel_id="S001")
    assert chain.send() == [("S001", 2, "available", "")]
    assert chain.apply() == [(2, "applied", None)]
    assert chain.acknowledge() == [("S001", 1, "canceled", "superseded"), ("S001", 2, "applied", "")]


@pytest.mark.parametrize("reason", ["gap", "reused", "totals"])
def test_what_trying_again_cannot_mend_is_replaced_at_once(chain: Chain, tmp_path: Path, reason: str) -> None:
    chain.has_sent()
    beyond = {"applied_sequence": 57 if reason == "reused" else 0, "applied_manifest_sha256": None}
    say(chain, 1, status="apply_failed", reason=reason, **beyond)
    following = 58 if reason == "reused" else 2
    assert chain.send() == [("S001", 1, "canceled", reason), ("S001", following, "available", "")]
    assert [state for _, state in chain.states()][:4] == ["started", "available", "apply_failed", "canceled"]
    assert chain.manifest(following)["mode"] == "full"
    chain.package(1).rename(tmp_path / "gone")
    assert chain.apply() == [(following, "applied", None)]
    assert held(chain.stores / "S001.duckdb") == chain.retailer.view(tmp_path / "view")["S001"]


@pytest.mark.parametrize("reason", ["bad_file", "bad_rows", "schema", "fault"])
def test_what_trying_again_may_mend_stays(chain: Chain, reason: str) -> None:
    chain.has_sent()
    say(chain, 1, status="apply_failed", reason=reason, applied_sequence=0, applied_manifest_sha256=None)
    assert chain.send() == [("S001", 1, "apply_failed", reason)]
    say(chain, 1, attempt=2)
    assert chain.send() == [("S001", 1, "applied", "")]


def test_a_later_package_applied_cancels_those_before_it(chain: Chain) -> None:
    for number in range(1, 4):
        chain.send()
        chain.retailer.card(f"K{number + 1}", channel_id="S001")
    say(chain, 3)
    assert chain.acknowledge() == [
        ("S001", 1, "canceled", "superseded"), ("S001", 2, "canceled", "superseded"), ("S001", 3, "applied", ""),
    ]  # fmt: skip
    say(chain, 2)
    assert chain.acknowledge() == []
    assert disbelieved(chain) == [(2, 1, "older"), (3, 1, None)]


def test_acknowledgements_that_come_together_count_by_sequence(chain: Chain) -> None:
    chain.has_sent()
    chain.retailer.card("K2", channel_id="S001")
    chain.send()
    chain.apply()
    assert chain.acknowledge() == [("S001", 1, "applied", ""), ("S001", 2, "applied", "")]


def test_a_final_session_is_not_moved(chain: Chain) -> None:
    chain.has_sent()
    say(chain, 1)
    chain.acknowledge()
    say(chain, 1, attempt=2, status="apply_failed", reason="gap")
    assert chain.acknowledge() == []
    assert disbelieved(chain) == [(1, 1, None), (1, 2, None)]


def test_a_store_restored_from_a_backup_takes_what_the_outbox_has(chain: Chain, tmp_path: Path) -> None:
    chain.has_sent()
    chain.apply()
    backup = (chain.stores / "S001.duckdb").read_bytes()
    chain.retailer.card("K2", channel_id="S001")
    chain.publish(OPENING)
    chain.send(OPENING)
    chain.apply()
    (chain.stores / "S001.duckdb").write_bytes(backup)
    chain.retailer.card("K3", channel_id="S001")
    chain.publish(OPENING + DAY)
    chain.send(OPENING + DAY)
    assert chain.apply() == [(3, "apply_failed", "gap")]
    assert chain.send(OPENING + DAY) == [("S001", 3, "canceled", "gap"), ("S001", 4, "available", "")]
    assert (chain.manifest(4)["mode"], chain.manifest(4)["base_sequence"]) == ("delta", 1)
    assert chain.apply() == [(3, "apply_failed", "gap"), (4, "applied", None)]
    chain.acknowledge()
    assert [state for _, state in chain.states()].count("applied") == 3
    assert held(chain.stores / "S001.duckdb") == chain.retailer.view(tmp_path / "view")["S001"]


# ── what lies in the inbox ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"null", b"[]", b"\xff", b"[" * 100_000, b'{"sequence": 1}', b"0" * (2**20 + 1),
        json.dumps({**APPLIED, "sequence": "1"}).encode(), json.dumps({**APPLIED, "status": "available"}).encode(),
        json.dumps({**APPLIED, "sequence": 1, "control_totals": {"rows": {"cards": 1.5}}}).encode(),
        json.dumps({**APPLIED, "sequence": 1, "more": 1}).encode(), json.dumps({**APPLIED, "attempt": 10**30}).encode(),
        json.dumps({**APPLIED, "sequence": 1, "message": "x" * 1001}).encode(),
    ],
    ids=range(14),
)  # fmt: skip
def test_what_is_no_acknowledgement_is_recorded_once_and_moves_nothing(chain: Chain, content: bytes) -> None:
    chain.ack(1).parent.mkdir(parents=True)
    chain.ack(1).write_bytes(content)
    for _ in range(2):
        assert chain.acknowledge() == []
    assert disbelieved(chain) == [(1, None, "unreadable")]


def test_links_pipes_folders_and_strange_names_in_the_inbox_do_no_harm(chain: Chain, tmp_path: Path) -> None:
    chain.has_sent()
    say(chain, 1)
    chain.ack(1).rename(tmp_path / "said.json")
    chain.ack(1).symlink_to(tmp_path / "said.json")
    os.mkfifo(chain.ack(2))
    chain.ack(3).mkdir()
    for name in ("00000001.ack.json.part", "1.ack.json", "00000001.ACK.json", "..ack.json", "00000000.ack.json"):
        (chain.ack(1).parent / name).write_text("{}")
    for name in ("..evil", "S001\n", "ä"):
        (chain.home.inbox / name / "1050").mkdir(parents=True)
        (chain.home.inbox / name / "1050" / "00000001.ack.json").write_text("{}")
    (chain.home.inbox / "S002").write_text("not a folder")
    assert chain.acknowledge() == []
    odd = [(0, None, "name")] * 3
    assert disbelieved(chain) == [*odd, (1, None, "unreadable"), (2, None, "unreadable"), (3, None, "unreadable")]
    assert sorted(name for (name,) in chain.rows("distribution.acknowledgements", "reason") if name) == [
        "00000000.ack.json", "00000001.ACK.json", "1.ack.json",
    ]  # fmt: skip
    assert chain.acknowledge() == []  # each is said once
    assert len(disbelieved(chain)) == 6
    assert chain.states() == [(1, "started"), (1, "available")]


def test_a_night_says_which_answers_it_does_not_believe(chain: Chain) -> None:
    chain.has_sent()
    say(chain, 1)
    chain.ack(1).rename(chain.ack(1).with_name("1.ack.json"))
    chain.ack(2).write_text("{")
    assert distribution.run(chain.home, NIGHT)["doubted"] == [
        "S001/1050/1.ack.json: name", "S001/1050/00000002: unreadable",
    ]  # fmt: skip
    assert distribution.run(chain.home, NIGHT)["doubted"] == [], "each is said once"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_an_acknowledgement_may_be_in_any_encoding_of_json(chain: Chain, encoding: str) -> None:
    chain.has_sent()
    say(chain, 1)
    chain.ack(1).write_bytes((chain.ack(1).read_text(encoding="utf-8") + "\x1a").encode(encoding))
    chain.acknowledge()
    assert chain.states()[-1] == (1, "applied"), disbelieved(chain)


def test_an_acknowledgement_for_another_store_moves_neither(chain: Chain) -> None:
    chain.retailer.channel("S002")
    chain.send()
    say(chain, 1)
    chain.ack(1, "S002").parent.mkdir(parents=True)
    chain.ack(1).rename(chain.ack(1, "S002"))
    assert chain.acknowledge() == []
    assert disbelieved(chain) == [(1, 1, "place")]


def test_a_stores_own_words_are_not_kept(chain: Chain) -> None:
    chain.has_sent()
    say(chain, 1, message="Maija Meikäläinen")
    chain.acknowledge()
    rows = chain.rows("distribution.acknowledgements", "*") + chain.rows(
        "distribution.sessions", "state, reason, detail"
    )
    assert len(rows) == 4, rows
    assert "Maija" not in str(rows)

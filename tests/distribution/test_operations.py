"""What goes wrong and what people do about it: suspension, retry, cancel, full packages, erasure, retention."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import shutil
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kanta import distribution, store
from kanta.distribution import formats, keys, proving
from kanta.distribution.protocol import contract
from kanta.errors import BadArguments, KantaError
from tests.distribution.conftest import BEGINNING, FOREVER, NIGHT, OPENING, Chain, held

pytestmark = pytest.mark.slow  # whole nights

DAY = timedelta(days=1)


def change(chain: Chain, number: int = 2, channel: str = "S001") -> None:
    chain.retailer.card(f"K{number}", channel_id=channel)


def right(chain: Chain, workspace: Path, database: str = "S001", night: date = NIGHT) -> None:
    """The store holds exactly V(n)."""
    made = chain.retailer.view(workspace, night=night)[database]
    wanted = {
        name: sorted(",".join(row) for line in lines for row in csv.reader([line])) for name, lines in made.items()
    }
    found = held(chain.stores / f"{database}.duckdb")
    assert {name: sorted(lines) for name, lines in found.items()} == wanted


def settled(chain: Chain) -> None:
    """A first package, applied and acknowledged."""
    chain.send()
    chain.apply()
    chain.acknowledge()


# ── deltas ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_delta_holds_what_changed_since_the_last_acknowledgement_and_fits_on_all_since(
    chain: Chain, tmp_path: Path
) -> None:
    chain.has_settled()
    for number, day in enumerate((OPENING, OPENING + DAY), start=2):
        change(chain, number)
        chain.publish(day)
        chain.send(day)
    first, second = chain.manifest(2), chain.manifest(3)
    assert (second["mode"], second["base_sequence"], list(second["applies_to"])) == ("delta", 1, ["1", "2"])
    (cards,) = (file for file in second["datasets"] if file["name"] == "cards")
    assert (first["mode"], cards["rows"], cards["deletes"]) == ("delta", 2, 0)
    assert [file["name"] for file in second["datasets"] if file["file"]] == ["cards"], "nothing else has changed"
    chain.package(2).rename(tmp_path / "lost")
    assert chain.apply() == [(3, "applied", None)]
    right(chain, tmp_path / "view")


def test_what_is_no_longer_there_goes_as_a_tombstone_once(chain: Chain, tmp_path: Path) -> None:
    change(chain)
    settled(chain)
    chain.retailer.cards.pop()
    chain.publish(OPENING)
    chain.send(OPENING)
    (cards,) = (file for file in chain.manifest(2)["datasets"] if file["name"] == "cards")
    assert (cards["rows"], cards["deletes"]) == (1, 1)
    chain.apply()
    right(chain, tmp_path / "view")
    change(chain, 3)
    chain.publish(OPENING + DAY)
    chain.send(OPENING + DAY)
    (cards,) = (file for file in chain.manifest(3)["datasets"] if file["name"] == "cards")
    assert (cards["rows"], cards["deletes"], chain.manifest(3)["base_sequence"]) == (1, 0, 2)


@pytest.mark.parametrize("why", ["format", "state lost", "retention", "totals"])
def test_what_no_delta_can_be_made_from_is_followed_by_a_full_package(chain: Chain, tmp_path: Path, why: str) -> None:
    chain.has_settled()
    change(chain)
    day = OPENING
    if why == "format":
        chain.retailer.sends(formats={"default": "parquet"})
    if why == "state lost":
        for path in (chain.home.lake / "sent").rglob("*.parquet"):
            path.unlink()
    if why == "retention":
        day = NIGHT + 31 * DAY
    if why == "totals":
        chain.publish(OPENING)
        chain.send(OPENING)
        said = json.loads(chain.ack(1).read_bytes()) | {"sequence": 2, "status": "apply_failed", "reason": "totals"}
        manifest = (chain.package(2) / "manifest.json").read_bytes()
        chain.ack(2).write_text(json.dumps(said | {"manifest_sha256": hashlib.sha256(manifest).hexdigest()}))
    chain.publish(day)
    chain.send(day)
    sequence = 3 if why == "totals" else 2
    assert chain.manifest(sequence)["mode"] == "full"
    assert chain.apply()[-1] == (sequence, "applied", None)


@pytest.mark.parametrize("taken", [False, True], ids=["lost", "applied but could not say so"])
def test_a_package_that_vanished_unanswered_is_replaced_the_next_night_by_one_that_fits_either_way(
    chain: Chain, tmp_path: Path, taken: bool
) -> None:
    chain.has_settled()
    change(chain)
    chain.publish(OPENING)
    chain.send(OPENING)
    if taken:
        assert chain.apply() == [(2, "applied", None)]
        chain.ack(2).unlink()
    else:
        (chain.package(2) / "manifest.json").unlink()
    assert chain.send(OPENING) == [], "in the same night its store may still be at it"
    chain.publish(OPENING + DAY)
    assert chain.send(OPENING + DAY) == [("S001", 2, "canceled", "lost"), ("S001", 3, "available", "")]
    assert (chain.manifest(3)["mode"], list(chain.manifest(3)["applies_to"])) == ("delta", ["1", "2"])
    assert chain.apply() == [(3, "applied", None)]
    right(chain, tmp_path / "view")
    chain.publish(OPENING + 2 * DAY)
    assert chain.send(OPENING + 2 * DAY) == [("S001", 3, "applied", ""), ("S001", 4, "no_data", "")]


def test_a_package_its_store_says_it_has_is_not_replaced(chain: Chain) -> None:
    chain.has_sent()
    fail(chain, 1, 1, status="downloaded", reason=None)
    shutil.rmtree(chain.package(1))
    chain.publish(OPENING)
    assert chain.send(OPENING) == [("S001", 1, "downloaded", ""), ("S001", 2, "no_data", "")]


def test_answers_of_packages_past_retention_go_also_where_the_package_is_gone(chain: Chain) -> None:
    chain.has_settled()
    change(chain)
    chain.publish(OPENING)
    chain.send(OPENING)
    chain.apply()
    assert chain.ack(1).exists()
    chain.publish(NIGHT + 40 * DAY)
    chain.send(NIGHT + 40 * DAY)
    assert (chain.ack(1).exists(), chain.rows("distribution.acknowledgements", "sequence")) == (False, [(1,), (2,)])


# ── failures, and what people say ────────────────────────────────────────────────────────────────────────────────


def fail(
    chain: Chain, sequence: int, attempt: int, reason: str | None = "bad_rows", status: str = "apply_failed"
) -> None:
    manifest = (chain.package(sequence) / "manifest.json").read_bytes()
    chain.ack(sequence).parent.mkdir(parents=True, exist_ok=True)
    chain.ack(sequence).write_text(json.dumps({
        "database": "S001", "job": "1050", "sequence": sequence,
        "manifest_sha256": hashlib.sha256(manifest).hexdigest(),
        "attempt": attempt, "status": status, "reason": reason, "applied_sequence": 0,
        "applied_manifest_sha256": None, "rows": {}, "control_totals": {}, "message": "",
    }))  # fmt: skip


def test_after_try_count_failures_a_session_is_suspended_and_the_databases_others_wait_until_retry(
    chain: Chain, tmp_path: Path
) -> None:
    chain.has_sent()
    for attempt in (1, 2, 3):
        fail(chain, 1, attempt)
        moved = chain.acknowledge()
    assert moved == [("S001", 1, "suspended", "tries")]
    change(chain)
    chain.publish(OPENING)
    assert chain.send(OPENING) == [("S001", 2, "started", "")]
    assert chain.send(OPENING) == []
    assert not chain.package(2).exists()
    moved = distribution.retry(chain.home, "S001")
    assert [(s.sequence, s.state) for s in moved] == [(1, "available"), (2, "available")]
    fail(chain, 1, 4)
    assert chain.acknowledge() == [("S001", 1, "apply_failed", "bad_rows")], "failures are counted anew"
    assert chain.apply()[-1] == (2, "applied", None)
    right(chain, tmp_path / "view")


def test_without_enforce_order_it_is_canceled_and_the_next_night_sends_anew(chain: Chain) -> None:
    chain.retailer.sends(enforce_order=False, try_count=1)
    chain.send()
    fail(chain, 1, 1)
    chain.publish(OPENING)
    assert chain.send(OPENING) == [("S001", 1, "canceled", "tries"), ("S001", 2, "available", "")]


def test_a_store_that_took_a_suspended_package_after_all_is_believed(chain: Chain) -> None:
    chain.retailer.sends(try_count=1)
    chain.send()
    fail(chain, 1, 1)
    chain.acknowledge()
    chain.apply()
    assert chain.acknowledge() == [("S001", 1, "applied", "")]


def test_a_canceled_session_takes_its_package_back_and_retry_sends_another(chain: Chain) -> None:
    chain.has_sent()
    (session,) = distribution.cancel(chain.home, "S001", "1050", 1)
    assert (session.state, session.reason, chain.package(1).exists()) == ("canceled", "cancel", False)
    with pytest.raises(KantaError, match="is canceled"):
        distribution.cancel(chain.home, "S001", "1050", 1)
    assert [(s.sequence, s.state) for s in distribution.retry(chain.home, "S001")] == [(2, "available")]
    with pytest.raises(KantaError, match="is canceled"):  # also when it no longer matters to what comes next
        distribution.cancel(chain.home, "S001", "1050", 1)


def test_a_full_package_is_sent_on_demand_though_nothing_changed(chain: Chain) -> None:
    chain.has_settled()
    assert chain.send() == []
    assert [(s.sequence, s.state, s.mode) for s in distribution.full_sync(chain.home, "S001", "1050")] == [
        (2, "available", "full")
    ]
    with pytest.raises(BadArguments, match="no store database"):
        distribution.full_sync(chain.home, "S009")
    with pytest.raises(BadArguments, match="no job"):
        distribution.full_sync(chain.home, "S001", "9")


def test_past_retention_files_go_but_never_an_unacknowledged_latest(chain: Chain) -> None:
    chain.has_sent()
    change(chain)
    chain.publish(OPENING)
    chain.send(OPENING)
    late = NIGHT + 40 * DAY
    chain.publish(late)
    chain.send(late)
    assert not chain.package(1).exists()
    assert chain.package(2).exists()


def test_a_database_that_is_gone_is_closed_and_starts_anew_when_it_is_back(chain: Chain) -> None:
    chain.has_settled()
    change(chain)
    chain.publish(OPENING)
    chain.send(OPENING)
    channels = list(chain.retailer.channels)
    chain.retailer.channels.clear()
    assert chain.send(OPENING) == [("S001", 2, "canceled", "gone"), ("S001", 3, "canceled", "gone")]
    assert not chain.package(2).exists()
    assert chain.send(OPENING) == []
    chain.retailer.channels.extend(channels)
    assert chain.send(OPENING) == [("S001", 4, "available", "")]
    assert chain.manifest(4)["mode"] == "full"


def test_a_database_that_is_renamed_is_closed_under_its_old_name_and_full_under_its_new(chain: Chain) -> None:
    chain.has_settled()
    chain.retailer.channels[0]["database"] = "S100"
    chain.publish(OPENING)
    assert chain.send(OPENING) == [("S001", 2, "canceled", "gone"), ("S100", 1, "available", "")]
    assert (chain.manifest(1, "S100")["mode"], chain.apply("S100")) == ("full", [(1, "applied", None)])
    assert held(chain.stores / "S100.duckdb") == held(chain.stores / "S001.duckdb")


def test_a_card_that_moves_between_stores_daily_is_where_it_is_and_nowhere_else(chain: Chain) -> None:
    chain.retailer.cards[0]["customer_id"] = None
    chain.retailer.channel("S002")
    chain.retailer.card("K2", channel_id="S002")
    for number in range(4):
        here, there = ("S001", "S002") if number % 2 else ("S002", "S001")
        chain.retailer.cards[0]["channel_id"] = here
        chain.publish(NIGHT + number * DAY)
        chain.send(NIGHT + number * DAY)
        chain.apply(here)
        chain.apply(there)
        stands = {name: "K1" in str(held(chain.stores / f"{name}.duckdb").get("cards")) for name in (here, there)}
        assert stands == {here: True, there: False}, number
    modes = chain.rows("distribution.packages", "sequence, mode")
    assert [mode for sequence, mode in modes if sequence > 1] == ["delta"] * 6, modes


def test_an_erased_customers_packages_go_at_once_and_the_next_is_full(chain: Chain) -> None:
    chain.retailer.sends(schedules=[{"id": "customers", "jobs": ["1010"]}])
    chain.retailer.customer("C7", first_name="Maija", created_channel_id="S001")
    chain.retailer.customer("C8", first_name="Matti", created_channel_id="S001")
    chain.send()
    assert chain.package(1, job="1010").exists()
    chain.retailer.customers["customers"][0] |= {"status": "erased", "first_name": None}
    distribution.erased(chain.home, ["C7"], [])
    assert not chain.package(1, job="1010").exists()
    chain.send()
    assert chain.manifest(3, job="1010")["mode"] == "full"
    assert chain.manifest(3, job="1010")["control_totals"]["customers"] == 1
    assert distribution.erased(chain.home, ["C9"], []) == []


# ── offline databases ────────────────────────────────────────────────────────────────────────────────────────────


def test_an_offline_database_gets_no_customers_and_not_whose_the_cards_are(chain: Chain, tmp_path: Path) -> None:
    chain.retailer.sends(schedules=[{"id": "all", "jobs": ["9999"]}], offline_databases={"S001-off": "S001"})
    chain.retailer.customer("C7", created_channel_id="S001")
    chain.send()
    cards = chain.retailer.view(tmp_path / "view")
    assert cards["S001"]["cards"] == ["K1,club,as_card_tender,C7,2026-01-05,,"]
    assert cards["S001-off"]["cards"] == ["K1,club,as_card_tender,,2026-01-05,,"]
    assert not chain.package(1, "S001-off", "1010").exists()
    assert chain.package(1, "S001-off", "1070").exists()
    jobs = [row[1] for row in chain.rows("distribution.packages", "database, job") if row[0] == "S001-off"]
    assert jobs == ["1040", "1050", "1070"]


def test_a_job_that_is_excluded_later_empties_the_offline_database_once(chain: Chain) -> None:
    chain.retailer.sends(
        schedules=[{"id": "all", "jobs": ["1010"]}], offline_databases={"S001-off": "S001"}, exclude_from_offline=[],
        filter_shared_customer_tables=False,
    )  # fmt: skip
    chain.retailer.customer("C7", created_channel_id="S001")
    chain.send()
    chain.apply("S001-off")
    chain.retailer.sends(exclude_from_offline=["1010"])
    chain.publish(OPENING)
    chain.send(OPENING)
    manifest = chain.manifest(2, "S001-off", "1010")
    assert (manifest["mode"], manifest["control_totals"]["customers"]) == ("full", 0)
    assert chain.apply("S001-off") == [(2, "applied", None)]
    assert held(chain.stores / "S001-off.duckdb") == {}
    chain.publish(OPENING + DAY)
    assert ("S001-off", 3, "no_data", "") in chain.send(OPENING + DAY)


# ── customers ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_synced_customers_that_concern_a_store_are_sent_and_the_erased_and_their_cards_never(
    chain: Chain, tmp_path: Path
) -> None:
    for account, status in (("C1", "synced"), ("C2", "pending"), ("C3", "erased"), ("C4", "synced")):
        here = {"created_channel_id": "S001"} if account != "C4" else {}
        chain.retailer.customer(account, status, first_name=account, **here)
        chain.retailer.card(f"K-{account}", customer_id=account, channel_id="S001" if account == "C3" else None)
    now = {"valid_from": date(2026, 1, 5), "valid_to": FOREVER}
    chain.retailer.customers["contacts"] += [
        {"account": "C1", "contact_no": 1, "kind": "email", "value": "a@example.com", "is_primary": True, **now},
        {"account": "C1", "contact_no": 2, "kind": "email", "value": "b@example.com", "consent": True,
         **now, "valid_to": OPENING},
    ]  # fmt: skip
    chain.retailer.customers["affiliations"] += [
        {"account": "C1", "affiliation_id": "staff", "valid_from": NIGHT, "valid_to": OPENING, "known_from": BEGINNING},
        {
            "account": "C1",
            "affiliation_id": "press",
            "valid_from": NIGHT - DAY,
            "valid_to": NIGHT,
            "known_from": BEGINNING,
        },
    ]
    made = chain.retailer.view(tmp_path, job="1010")["S001"]
    assert [line.split(",")[0] for line in made["customers"]] == ["C1"]
    assert made["contacts"] == ["C1,1,email,a@example.com,true,false"]
    assert made["affiliations"] == [f"C1,staff,{NIGHT},{OPENING}"]
    cards = chain.retailer.view(tmp_path / "cards")["S001"]["cards"]
    assert [line.split(",")[0] for line in cards] == ["K-C1", "K-C2", "K1"]


# ── formats and keys ─────────────────────────────────────────────────────────────────────────────────────────────

STRANGE = ['K"1', "K|2\\p", "Two\nlines", "Ä,ö", "\\"]


@pytest.mark.parametrize("form", ["csv.gz", "parquet", "xstore_mnt"])
def test_every_format_makes_a_store_hold_the_view_full_and_delta(chain: Chain, tmp_path: Path, form: str) -> None:
    chain.retailer.sends(formats={"default": form})
    for name in STRANGE:
        chain.retailer.card(name, channel_id="S001", customer_id=name)
    settled(chain)
    chain.retailer.cards.pop(2)
    change(chain)
    chain.publish(OPENING)
    chain.send(OPENING)
    assert chain.manifest(2)["mode"] == "delta"
    assert chain.apply() == [(2, "applied", None)]
    right(chain, tmp_path / "view")


def test_an_xstore_file_is_one_with_a_header_that_counts_its_lines(chain: Chain) -> None:
    chain.retailer.sends(formats={"S001": "xstore_mnt"})
    chain.send()
    header, *lines = (chain.package(1) / "1050.mnt").read_text().splitlines()
    assert header == (
        f'<Header line_count="{len(lines)}" download_id="S001-1050-00000001" application_date="2026-11-21"'
        ' target_org_node="STORE:S001" deployment_name="kanta 1050" download_time="IMMEDIATE"'
        ' apply_immediately="true"/>'
    )
    assert "INSERT|CARDS|K1|club|as_card_tender|C7|2026-01-05||" in lines
    assert {path.name for path in chain.package(1).iterdir()} == {"1050.mnt", "manifest.json"}


@pytest.mark.parametrize(
    "content",
    [
        "", "no header\n", f'<Header line_count="{"9" * 5000}" />\n', '<Header line_count="2" x/>\nINSERT|CARDS|K1\n',
        '<Header line_count="1" />\nINSERT|CARDS|\\x|\n',
    ],
)  # fmt: skip
def test_an_xstore_file_that_is_not_what_it_says_is_bad(tmp_path: Path, content: str) -> None:
    import duckdb

    file = tmp_path / "1050.mnt"
    file.write_text(content)
    with pytest.raises(formats.BadRows):
        formats.read(duckdb.connect(), contract("cards"), "xstore_mnt", file, 10)


def private(monkeypatch: pytest.MonkeyPatch, name: str) -> str:
    """Puts a new private key into the environment; gives its public one."""
    key = Ed25519PrivateKey.generate()
    monkeypatch.setenv(name, base64.b64encode(key.private_bytes_raw()).decode())
    return keys.public(f"env:{name}")


def test_signed_and_encrypted_packages_are_for_their_store_only(chain: Chain, tmp_path: Path, monkeypatch: Any) -> None:
    ours, theirs = private(monkeypatch, "HEAD_OFFICE"), private(monkeypatch, "STORE")
    identity = pyrage.x25519.Identity.generate()
    chain.retailer.sends(
        keys={"sign": "env:HEAD_OFFICE", "S001": {"encrypt": str(identity.to_public()), "verify": [theirs]}}
    )
    chain.send()
    assert {path.suffix for path in chain.package(1).iterdir()} == {".age", ".json", ".sig"}
    own = store.Keys(verify=(ours,), identity=str(identity), sign="env:STORE")
    file = chain.stores / "S001.duckdb"

    def apply(**changed: Any) -> str:
        has = store.Keys(**{"verify": own.verify, "identity": own.identity, "sign": own.sign} | changed)
        (result,) = store.apply([chain.home.outbox / "S001"], file, chain.home.inbox, has)
        return result.acknowledgement.reason or "applied"

    assert apply(verify=(theirs,)) == "bad_manifest"
    assert apply(identity=str(pyrage.x25519.Identity.generate())) == "bad_file"
    assert apply(identity=None) == "bad_file"
    assert apply(sign=None) == "applied"
    chain.ack(1).with_name(chain.ack(1).name + ".sig").unlink()
    assert chain.acknowledge() == [], "an answer without a signature is not believed"
    assert chain.rows("distribution.acknowledgements", "disbelief") == [("unsigned",)]
    change(chain)
    chain.send()
    assert apply() == "applied"
    assert chain.acknowledge()[-1] == ("S001", 2, "applied", "")
    right(chain, tmp_path / "view")


def test_a_recipient_that_is_no_key_fails_its_database_alone(chain: Chain) -> None:
    chain.retailer.channel("S002")
    chain.retailer.sends(keys={"S002": {"encrypt": "age1nonsense"}})
    assert chain.send() == [("S001", 1, "available", ""), ("S002", 1, "create_failed", "view")]


def test_a_key_that_is_not_there_is_said_without_showing_any(chain: Chain, monkeypatch: pytest.MonkeyPatch) -> None:
    chain.retailer.sends(keys={"sign": "env:NO_SUCH_KEY"})
    with pytest.raises(KantaError, match="NO_SUCH_KEY"):
        chain.send()
    monkeypatch.setenv("NO_SUCH_KEY", "c2VjcmV0")
    with pytest.raises(KantaError, match="no ed25519") as error:
        chain.send()
    assert "c2VjcmV0" not in str(error.value)


# ── proof ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_prove_finds_nothing_where_all_is_right_and_the_row_where_it_is_not(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain.retailer.channel("S002", "S002")
    chain.retailer.channel("S003", "S003")
    chain.retailer.channel("S004", "S004")
    chain.retailer.card("K2", channel_id="S002")
    chain.retailer.card("K3|", channel_id="S003")
    chain.retailer.sends(formats={"S002": "parquet", "S003": "xstore_mnt"})
    chain.send()
    for database in ("S001", "S002", "S003", "S004"):
        chain.apply(database)
    chain.acknowledge()
    found = distribution.prove(chain.home)
    assert [(p.database, p.differences, p.base_sequence, p.note) for p in found] == [
        ("S001", 0, 1, ""), ("S002", 0, 1, ""), ("S003", 0, 1, ""), ("S004", 0, 1, ""),
    ]  # fmt: skip
    assert "4 databases and jobs, 0 differ" in proving.text(found)
    # From here on stores stand at nights of their own; S001 and S004 get files of the same names.
    for number, database in enumerate(("S001", "S002"), start=1):
        chain.retailer.card(f"N{number}", channel_id=database)
        chain.publish(NIGHT + number * DAY)
        chain.send(NIGHT + number * DAY)
        chain.apply(database)
        chain.acknowledge(NIGHT + number * DAY)
    found = distribution.prove(chain.home)
    assert [(p.database, p.differences, p.base_sequence, p.note) for p in found] == [
        ("S001", 0, 2, ""), ("S002", 0, 3, ""), ("S003", 0, 1, ""), ("S004", 0, 1, ""),
    ]  # fmt: skip
    applied = store.apply

    def wrong(packages: list[Path], file: Path, *more: Any) -> Any:
        import duckdb

        results = applied(packages, file, *more)
        with duckdb.connect(file) as con:
            con.execute("update cards set card_type = 'blocked'")
        return results

    monkeypatch.setattr(store, "apply", wrong)
    with pytest.raises(BadArguments, match="S999"):
        distribution.prove(chain.home, "S999")
    (proved,) = distribution.prove(chain.home, "S003")
    assert (proved.full, proved.examples[0]) == (1, "cards K3|, club")

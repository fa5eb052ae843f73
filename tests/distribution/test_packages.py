"""Packages are, to the byte, what the specification says (spec 6-distribution)."""

from __future__ import annotations

import gzip
import hashlib
import json
from datetime import date
from pathlib import Path

import duckdb
import pytest

from kanta.distribution.protocol import Manifest, Place, contract, is_plain
from kanta.programme.model import JOBS
from tests.distribution.conftest import Chain, Retailer, held

HEADERS = {
    "programs": "op,program_id,pool_related_cards",
    "tiers": "op,program_id,tier_id,level",
    "price_groups": "op,program_id,tier_id,price_group",
    "reward_points": "op,reward_point_id,type,currency,redeemable,redeem_ranking",
    "earning_rules": "op,channel_id,rule_id,scheme_id,program_id,tier_id,affiliation_id,category_id,product_id,"
    "variant_id,per,currency,reward_point_id,points,valid_from,valid_to,activity,activity_type,scaling,ignore_vesting,"
    "excluded_affiliations",
    "redemption_rules": "op,channel_id,rule_id,scheme_id,program_id,tier_id,affiliation_id,category_id,product_id,"
    "variant_id,per,currency,reward_point_id,points,valid_from,valid_to,type",
    "cards": "op,card_id,program_id,card_type,customer_id,enrolled_from,enrolled_to,replaced_by_card_id",
    "card_tiers": "op,card_id,program_id,tier_id,valid_from,level,valid_to",
    "card_balances": "op,card_id,program_id,reward_point_id,available,unvested,expiring_30d",
}


@pytest.fixture
def retailer(retailer: Retailer) -> Retailer:
    """The shared one, with all datasets of its job."""
    retailer.sends(jobs=JOBS)
    return retailer


def content(chain: Chain, dataset: str, sequence: int = 1) -> bytes:
    return gzip.decompress((chain.package(sequence) / f"{dataset}.csv.gz").read_bytes())


def test_columns_are_op_then_the_key_then_the_rest_as_specified() -> None:
    assert {c.dataset: ",".join(("op", *c.names)) for c in map(contract, JOBS["1050"])} == HEADERS


def test_files_hold_the_specified_bytes(chain: Chain) -> None:
    chain.has_sent()
    assert content(chain, "cards") == (HEADERS["cards"] + "\nU,K1,club,as_card_tender,C7,2026-01-05,,\n").encode()
    assert content(chain, "card_tiers") == (
        HEADERS["card_tiers"] + "\nU,K1,club,gold,2026-03-01,2,2027-03-01\n"
    ).encode()  # fmt: skip
    assert content(chain, "card_balances") == (
        HEADERS["card_balances"] + "\nU,K1,club,points,12.50,0.00,0.00\n"
    ).encode()  # fmt: skip
    assert content(chain, "price_groups") == (
        HEADERS["price_groups"] + "\nU,club,,CLUB\nU,club,gold,GOLD\n"
    ).encode()  # fmt: skip
    assert content(chain, "programs") == (HEADERS["programs"] + "\nU,club,false\n").encode()


def test_gzip_names_no_file_and_no_time(chain: Chain) -> None:
    chain.has_sent()
    head = (chain.package(1) / "cards.csv.gz").read_bytes()[:10]
    assert head[:3] == b"\x1f\x8b\x08", head
    assert head[3] == 0, "no name, no comment"
    assert head[4:8] == b"\0\0\0\0", "no time"


def test_a_value_with_comma_quote_or_line_end_is_quoted_and_comes_back(chain: Chain) -> None:
    chain.retailer.card('K",1', customer_id="a\r\nb", channel_id="S001")
    chain.retailer.card("Kä 'x'", customer_id="=1+1", channel_id="S001")
    chain.send()
    assert content(chain, "cards").decode().split("\n", 1)[1] == (
        'U,"K"",1",club,as_card_tender,"a\r\nb",2026-01-05,,\n'
        "U,K1,club,as_card_tender,C7,2026-01-05,,\n"
        "U,Kä 'x',club,as_card_tender,=1+1,2026-01-05,,\n"
    )
    assert chain.apply() == [(1, "applied", None)]
    assert held(chain.stores / "S001.duckdb")["cards"] == [
        'K",1,club,as_card_tender,a\r\nb,2026-01-05,,',
        "K1,club,as_card_tender,C7,2026-01-05,,",
        "Kä 'x',club,as_card_tender,=1+1,2026-01-05,,",
    ]


def test_the_manifest_says_what_is_in_the_folder(chain: Chain) -> None:
    chain.retailer.card("K2", program_id="spa", channel_id="S001")
    chain.retailer.card("K2", channel_id="S001")
    chain.retailer.holds("K2", ("0.50", date(2026, 1, 1), None))
    chain.send()
    manifest = chain.manifest(1)
    assert list(manifest) == [
        *("schema_version", "database", "job", "sequence", "mode", "base_sequence", "applies_to"),
        *("previous_manifest_sha256", "business_date", "datasets", "control_totals"),
    ]
    assert {key: manifest[key] for key in list(manifest)[:9]} == {
        "schema_version": 1, "database": "S001", "job": "1050", "sequence": 1, "mode": "full", "base_sequence": 0,
        "applies_to": {}, "previous_manifest_sha256": None, "business_date": "2026-11-20",
    }  # fmt: skip
    assert manifest["control_totals"] == {
        "rows": {
            "programs": 1, "tiers": 2, "price_groups": 2, "reward_points": 2, "earning_rules": 1,
            "redemption_rules": 1, "cards": 3, "card_tiers": 1, "card_balances": 2,
        },
        "cards": 2,
        "available": {"points": "13.00"},
        "tiers": {"club/gold": 1},
    }  # fmt: skip
    assert [file["name"] for file in manifest["datasets"]] == list(HEADERS)
    for file in manifest["datasets"]:
        data = (chain.package(1) / file["file"]).read_bytes()
        assert file == {
            "name": file["name"], "file": f"{file['name']}.csv.gz", "rows": gzip.decompress(data).count(b"\nU,"),
            "deletes": 0, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(),
        }  # fmt: skip
    names = {path.name for path in chain.package(1).iterdir()}
    assert names == {"manifest.json", *(f"{name}.csv.gz" for name in HEADERS)}


def test_a_dataset_without_rows_is_named_without_a_file(chain: Chain) -> None:
    chain.retailer.card_tiers.clear()
    chain.send()
    (file,) = [file for file in chain.manifest(1)["datasets"] if file["name"] == "card_tiers"]
    assert file == {"name": "card_tiers", "file": None, "rows": 0, "deletes": 0, "bytes": 0, "sha256": None}
    assert not (chain.package(1) / "card_tiers.csv.gz").exists()
    assert chain.manifest(1)["control_totals"]["tiers"] == {}
    assert chain.apply() == [(1, "applied", None)]


def test_a_manifest_is_one_line_of_compact_json_and_reads_back(chain: Chain) -> None:
    chain.has_sent()
    data = (chain.package(1) / "manifest.json").read_bytes()
    assert data.startswith(b'{"schema_version":1,"database":"S001","job":"1050","sequence":1,"mode":"full",')
    assert data.count(b"\n") == 1
    assert Manifest.model_validate_json(data).to_bytes() == data


def test_a_manifest_names_the_one_before_it(chain: Chain) -> None:
    chain.has_sent()
    first = hashlib.sha256((chain.package(1) / "manifest.json").read_bytes()).hexdigest()
    chain.retailer.card("K2", channel_id="S001")
    chain.send()
    assert chain.manifest(2)["previous_manifest_sha256"] == first


def test_a_full_package_makes_a_store_hold_exactly_the_view(chain: Chain, tmp_path: Path) -> None:
    chain.retailer.card("K2", channel_id="S001", customer_id="C7", program_id="spa")
    chain.send()
    chain.apply()
    chain.retailer.cards.pop(0)
    chain.retailer.card("K3", channel_id="S001")
    chain.send()
    assert chain.apply() == [(2, "applied", None)]
    assert held(chain.stores / "S001.duckdb") == chain.retailer.view(tmp_path / "view")["S001"]


def test_a_store_table_has_the_contracts_types(chain: Chain) -> None:
    chain.has_sent()
    chain.apply()
    with duckdb.connect(chain.stores / "S001.duckdb", read_only=True) as con:
        for of in map(contract, JOBS["1050"]):
            described = con.execute(f"describe {of.dataset}").fetchall()
            assert [(row[0], row[1]) for row in described] == [(c.name, c.type) for c in of.columns]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../S1", "a/b", "a\\b", ".hidden", "a\0", "a b", "-" * 101, "ä", "a\n"]
)
def test_a_name_that_means_something_in_a_path_is_not_plain(name: str) -> None:
    assert not is_plain(name)


@pytest.mark.parametrize(
    "path", ["S001/1050/0000001", "S001/1050/000000001", "S001/1050/00000000", "../1050/00000001", "1"]
)
def test_a_folder_that_is_not_database_job_and_eight_digits_is_no_package(path: str) -> None:
    assert Place.of_package(Path("/", path)) is None


def test_a_retailer_without_stores_sends_nothing(chain: Chain) -> None:
    chain.retailer.channels.clear()
    assert chain.send() == []
    assert json.dumps(chain.states()) == "[]"


def test_views_of_two_nights_with_the_same_rows_are_the_same_bytes(retailer: Retailer, tmp_path: Path) -> None:
    assert retailer.view(tmp_path / "1") == retailer.view(tmp_path / "2", night=date(2026, 11, 25))

"""Every rule and example of spec/3-customers.md, over landed rows in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kanta import customers
from kanta.engine import Engine
from kanta.report.customers import CHANNELS
from tests.customers.conftest import Master, Row

GUID, OTHER = "0a1b2c3d-0000-4000-8000-000000000001", "0a1b2c3d-0000-4000-8000-000000000002"


def operation(identifier: str, at: str, account: str | None = "K1", **other: Any) -> Row:
    """An operation on a person in store S1 at a UTC time such as ``2026-01-05 10:00``."""
    named = {"customer_type": "person", "last_name": "Virtanen"} if other.get("operation") != "update" else {}
    return {
        "operation_id": identifier, "operated_at": f"{at}:00+00", "channel_id": "S1", "customer_id": account, **named,
        **other,
    }  # fmt: skip


def update(identifier: str, at: str, account: str | None = "K1", **other: Any) -> Row:
    return operation(identifier, at, account, operation="update", **other)


def guest(identifier: str, at: str, guid: str = GUID, **other: Any) -> Row:
    return operation(identifier, at, None, mode="async", async_id=guid, **other)


def store(**other: Any) -> dict[str, list[Row]]:
    return {"channels": [{"channel_id": "S1", **other}]}


def default_customer(**other: Any) -> Row:
    return operation("D", "2025-01-01 08:00", "DEF", **{"last_name": "Walk-in", "channel_id": None, **other})


def test_what_a_new_customer_leaves_empty_comes_from_the_default_customer(master: Master) -> None:
    walk_in = default_customer(
        customer_group="G2", receipt_option="print", currency="EUR", language="fi", receipt_email="r@shop.com",
        warehouse="W1", title="Dr", email="d@shop.com", on_hold=True,
    )  # fmt: skip
    groups = [{"id": "G1", "financial_dimensions": '{"dept": 1}'}, {"id": "G2", "financial_dimensions": '{"dept": 2}'}]
    master.deliver("hq/2026-01-01/hq", **store(default_customer_id="DEF"), customers=[walk_in], customer_groups=groups)
    created = [
        operation("a", "2026-01-05 10:00", "K1", receipt_email="e@own.com", customer_group="G1", language="sv"),
        operation("b", "2026-01-05 10:00", "K2", email="k2@own.com", customer_type=None),
    ]
    master.deliver("pos/2026-01-05/S1", customers=created)
    master.night("2026-01-05")
    columns = (
        "account", "receipt_email", "customer_group", "language", "receipt_option", "currency", "customer_type",
        "financial_dimensions", "warehouse", "title", "email", "on_hold",
    )  # fmt: skip
    assert master.on("customers.customers", "2026-01-05", *columns, where="account <> 'DEF'") == [
        ("K1", "e@own.com", "G1", "sv", "print", "EUR", "person", '{"dept": 2}', None, None, None, None),
        ("K2", "r@shop.com", "G2", "fi", "print", "EUR", "person", '{"dept": 2}', None, None, "k2@own.com", None),
    ]
    assert master.rows("customers.contacts", "account", "value") == [("DEF", "d@shop.com"), ("K2", "k2@own.com")]


def test_inherited_values_are_those_of_the_day_of_creation_and_stay(master: Master) -> None:
    changed = update("D2", "2026-01-10 08:00", "DEF", channel_id=None, language="sv")
    master.deliver(
        "hq/2026-01-01/hq", **store(default_customer_id="DEF"), customers=[default_customer(language="fi"), changed]
    )
    created = [
        operation("a", "2026-01-05 10:00", "K1"),
        operation("b", "2026-01-11 10:00", "K2"),
        update("c", "2026-01-12 10:00", "K2", clears="language"),
    ]
    master.deliver("pos/2026-01-12/S1", customers=created)
    master.night("2026-01-12")
    seen = [master.on("customers.customers", f"2026-01-{d}", "account", "language") for d in ("09", "11", "12")]
    assert seen == [
        [("DEF", "fi"), ("K1", "fi"), ("K2", "sv")],
        [("DEF", "sv"), ("K1", "fi"), ("K2", "sv")],
        [("DEF", "sv"), ("K1", "fi"), ("K2", None)],
    ]


def test_a_default_customer_that_comes_late_is_inherited_from_all_the_same(master: Master) -> None:
    master.deliver("hq/2026-01-01/hq", **store(default_customer_id="DEF"))
    master.deliver("pos/2026-01-05/S1", customers=[operation("a", "2026-01-05 10:00")])
    master.night("2026-01-05")
    assert master.rows("customers.customers", "account", "language") == [("K1", None)]
    master.deliver("hq/2026-01-06/hq", customers=[default_customer(language="fi")])
    master.night("2026-01-06")
    assert master.rows("customers.customers", "account", "language") == [("DEF", "fi"), ("K1", "fi")]


def test_the_night_tells_of_channels_whose_default_customer_is_unknown_or_carries_a_receipt_email(
    master: Master,
) -> None:
    defaults = {"S1": "DEF", "S2": "NOBODY", "S3": "PLAIN", "S4": None, "S5": GUID}
    channels = [{"channel_id": channel, "default_customer_id": account} for channel, account in defaults.items()]
    made = [
        default_customer(receipt_email="r@shop.com"),
        default_customer(operation_id="P", customer_id="PLAIN"),
        guest("g", "2026-01-01 08:00", receipt_email="w@shop.com"),
    ]
    master.deliver("hq/2026-01-01/hq", channels=channels, customers=made)
    master.deliver("pos/2026-01-05/S2", customers=[operation("a", "2026-01-05 10:00", channel_id="S2")])
    master.night("2026-01-05")
    assert master.rows("customers.customers", "receipt_email", where="account = 'K1'") == [(None,)]
    told = master.engine.rows(CHANNELS, {"night": master.business_date})
    assert [(channel, "unknown" in what) for channel, what in told] == [("S1", False), ("S2", True), ("S5", False)]


def test_affiliations_of_the_default_customer_are_inherited_from_that_day_and_gone_over(master: Master) -> None:
    walk_in = [{"operation_id": "D", "affiliation_id": name, "valid_from": day, "valid_to": end}
               for name, day, end in (("club", "2025-01-01", None), ("fair", "2025-01-01", "2026-01-31"),
                                      ("old", "2025-01-01", "2025-12-31"))]  # fmt: skip
    master.deliver(
        "hq/2026-01-01/hq", **store(default_customer_id="DEF"), customers=[default_customer()],
        customer_affiliations=walk_in,
    )  # fmt: skip
    own = [{"operation_id": "b", "affiliation_id": "club", "valid_to": "2026-03-31"}]
    master.deliver(
        "pos/2026-01-10/S1", customer_affiliations=own,
        customers=[operation("a", "2026-01-05 10:00"), update("b", "2026-01-10 10:00")],
    )  # fmt: skip
    master.night("2026-01-10")
    columns = ("affiliation_id", "valid_from", "valid_to", "inherited", "known_from", "known_to")
    assert master.rows("customers.affiliations", *columns, where="account = 'K1'") == [
        ("club", "2026-01-05", None, True, "0001-01-01", "2026-01-10"),
        ("club", "2026-01-10", "2026-03-31", False, "2026-01-10", "9999-12-31"),
        ("fair", "2026-01-05", "2026-01-31", True, "0001-01-01", "9999-12-31"),
    ]


def test_async_customers_get_the_next_numbers_in_order_and_once(master: Master) -> None:
    master.deliver("hq/2026-01-01/hq", **store())
    master.deliver("pos/2026-01-04/S1", transactions=[{"transaction_id": "T", "customer_id": "C00000041"}])
    guests = [guest("b", "2026-01-05 11:00", GUID), guest("a", "2026-01-05 10:00", OTHER),
              guest("c", "2026-01-05 12:00", GUID)]  # fmt: skip
    master.deliver("pos/2026-01-05/S1", customers=guests)
    master.night("2026-01-05")
    given = [(OTHER, "C00000042", "2026-01-05", "sequence"), (GUID, "C00000043", "2026-01-05", "sequence")]
    columns = ("async_id", "account", "given_on", "given_by")
    assert sorted(master.rows("customers.account_map", *columns), key=lambda row: row[1]) == given
    columns = ("account", "async_id", "status")
    assert master.rows("customers.customers", *columns) == [
        ("C00000042", OTHER, "synced"), ("C00000043", GUID, "synced"),
    ]  # fmt: skip
    assert master.night("2026-01-05") == []
    master.deliver(
        "pos/2026-01-06/S1", customers=[guest("b", "2026-01-05 11:00"), guest("d", "2026-01-06 09:00", "G3")]
    )
    master.night("2026-01-06")
    assert master.rows("customers.account_map", "account", where="async_id = 'G3'") == [("C00000044",)]
    assert len(master.rows("customers.account_map")) == 3


def test_a_range_gives_the_numbers_that_single_nights_would(tmp_path: Path) -> None:
    given = []
    for nights in ((5, 6, 7), (7,)):
        with Engine(tmp_path) as engine:
            master = Master(engine)
            master.deliver("hq/2026-01-01/hq", **store())
            for day in (5, 6, 7):
                at = f"2026-01-0{12 - day} 10:00" if day > 5 else "2026-01-05 10:00"  # the later night's came earlier
                master.deliver(
                    f"pos/2026-01-0{day}/S1", customers=[guest(f"a{day}", at, f"G{day}")],
                    loyalty_cards=[{"card_id": "X", "customer_id": f"C{day * 10:08}"}],
                )  # fmt: skip
                if day in nights:
                    master.night(f"2026-01-0{day}")
            given.append(sorted(master.rows("customers.account_map", "async_id", "account", "given_on")))
    assert given[0] == given[1]
    assert [account for _, account, _ in given[0]] == ["C00000051", "C00000061", "C00000071"]


def test_headquarters_may_name_the_account_and_a_guid_is_one_account_for_ever(master: Master) -> None:
    master.deliver("hq/2026-01-01/hq", **store())
    master.deliver("pos/2026-01-05/S1", customers=[update("u", "2026-01-05 10:00", None, mode="async", async_id=GUID,
                                                          title="Dr")])  # fmt: skip
    master.night("2026-01-05")
    assert master.rows("customers.customers", "account", "status") == [(GUID, "pending")]
    assert master.rows("customers.operations", "account", "status") == [(GUID, "pending")]
    master.deliver("hq/2026-01-06/hq", customers=[operation("h", "2026-01-06 10:00", "K7", async_id=GUID)])
    master.deliver("hq/2026-01-07/hq", customers=[operation("i", "2026-01-07 10:00", "K8", async_id=GUID)])
    master.night("2026-01-07")
    assert master.rows("customers.account_map", "account", "given_by") == [("K7", "hq")]
    assert master.rows("customers.customers", "account", "async_id", "title", where="valid_from = '0001-01-01'") == [
        ("K7", GUID, "Dr")
    ]
    assert master.rows("customers.operations", "operation_id", "account", "status", "reason") == [
        ("h", "K7", "synced", None), ("i", "K8", "failed", "guid_taken"), ("u", "K7", "synced", None),
    ]  # fmt: skip


def test_failed_operations_stand_in_quarantine_until_they_count(master: Master) -> None:
    failing = [
        operation("no_type", "2026-01-05 10:00", customer_type=None),
        operation("no_name", "2026-01-05 10:00", "K2", last_name=None, title="Dr"),
        operation("no_name2", "2026-01-05 10:00", "K3", customer_type="organization"),
        operation("no_id", "2026-01-05 10:00", None, async_id=GUID),
        operation("no_id2", "2026-01-05 10:00", None, mode="async"),
        operation("channel", "2026-01-05 10:00", "K4", channel_id="S9"),
        operation("group", "2026-01-05 10:00", "K5", customer_group="G9"),
    ]
    master.deliver("hq/2026-01-01/hq", **store())
    master.deliver("pos/2026-01-05/S1", customers=failing)
    master.night("2026-01-05")
    rules = {"channel": "unknown_channel", "group": "unknown_group", "no_name2": "no_name", "no_id2": "no_id",
             "no_type": "no_type", "no_name": "no_name", "no_id": "no_id"}  # fmt: skip
    assert dict(master.rows("customers.operations", "operation_id", "reason")) == rules
    columns = ("record_key", "rule", "status", "file")
    found = master.rows("ops.quarantine", *columns)
    assert {key: (rule, status, file) for key, rule, status, file in found} == {
        key: (rule, "open", "customers.csv") for key, rule in rules.items()
    }
    assert master.rows("customers.customers") == []
    master.deliver("hq/2026-01-06/hq", channels=[{"channel_id": "S9"}], customer_groups=[{"id": "G9"}])
    corrected = operation("no_name", "2026-01-05 10:00", "K2", last_name=None, first_name="Aino", title="Dr")
    master.deliver("pos/2026-01-05/S1.released-x", customers=[corrected])
    master.night("2026-01-06")
    assert master.rows("customers.customers", "account", "first_name") == [("K2", "Aino"), ("K4", None), ("K5", None)]
    open_now = master.rows("ops.quarantine", "record_key", where="status = 'open'")
    assert open_now == [("no_id",), ("no_id2",), ("no_name2",), ("no_type",)]


def test_the_last_writer_wins_column_by_column_by_time_and_not_by_arrival(master: Master) -> None:
    master.deliver("hq/2026-01-01/hq", **store())
    master.deliver("pos/2026-01-05/S1", customers=[operation("a", "2026-01-05 10:00", phone="040 1234567")])
    master.night("2026-01-05")
    late = update("b", "2026-01-05 09:00", phone="040 7654321", title="Dr")
    master.deliver("pos/2026-01-06/S1", customers=[late])
    master.night("2026-01-06")
    assert master.rows("customers.customers", "phone", "title") == [("040 1234567", "Dr")]
    master.deliver("pos/2026-01-07/S1", customers=[update("c", "2026-01-07 09:00", title="Prof", clears="phone|title")])
    master.night("2026-01-07")
    assert master.rows("customers.customers", "valid_from", "valid_to", "phone", "title") == [
        ("0001-01-01", "2026-01-07", "040 1234567", "Dr"), ("2026-01-07", "9999-12-31", None, "Prof"),
    ]  # fmt: skip
    changes = dict(master.rows("customers.operations", "operation_id", "changes"))
    assert changes["c"] == '{"phone":{"old":"040 1234567","new":null},"title":{"old":"Dr","new":"Prof"}}'


def test_an_operation_is_dated_in_its_channels_zone(master: Master) -> None:
    zones = [{"channel_id": "S1", "time_zone": "Asia/Tokyo"}, {"channel_id": "S2", "time_zone": "Mars/Olympus"}]
    master.deliver("hq/2026-01-01/hq", channels=zones)
    ops = [operation("a", "2026-01-01 10:00"), update("b", "2026-01-05 20:00", title="Dr"),
           update("c", "2026-01-06 20:00", channel_id="S2", title="Prof"),
           # Earlier by the clock, but on the day after in its zone: it never shows.
           update("d", "2026-01-05 20:30", phone="1"), update("e", "2026-01-05 21:30", channel_id="S2", phone="2"),
           ]  # fmt: skip
    master.deliver("pos/2026-01-06/S1", customers=ops)
    master.night("2026-01-06")
    assert master.rows("customers.customers", "valid_from", "title", "phone") == [
        ("0001-01-01", None, None), ("2026-01-05", None, "2"), ("2026-01-06", "Prof", "2"),
    ]  # fmt: skip


def test_consent_is_the_newest_answer_and_every_answer_stays_in_history(master: Master) -> None:
    master.deliver("hq/2026-01-01/hq", **store())
    master.deliver(
        "pos/2026-05-04/S1",
        customers=[operation("a", "2026-05-01 10:00", email="Aino@Shop.com"), update("b", "2026-05-03 10:00"),
                   update("c", "2026-05-04 10:00")],
        customer_contacts=[
            {"operation_id": "a", "kind": "email", "value": "aino@shop.com", "marketing_consent": True},
            {"operation_id": "b", "kind": "email", "value": " aino@shop.com", "marketing_consent": False},
            {"operation_id": "c", "kind": "email", "value": "AINO@shop.com"},
        ],
    )  # fmt: skip
    master.night("2026-05-04")
    seen = [master.on("customers.contacts", f"2026-05-0{d}", "consent", "normalized") for d in (2, 3, 4)]
    assert seen == [[(True, "aino@shop.com")], [(False, "aino@shop.com")], [(False, "aino@shop.com")]]
    assert master.on("customers.contacts", "2026-05-04", "consent_at", "consent_channel_id", "is_primary") == [
        ("2026-05-03 10:00:00+00:00", "S1", True)
    ]


def test_contacts_are_numbered_checked_and_one_of_a_kind_is_primary(master: Master) -> None:
    master.deliver("hq/2026-01-01/hq", channels=[{"channel_id": "S1"}, {"channel_id": "SE", "country": "Sweden"}])
    contacts = [
        {"operation_id": "a", "kind": "phone", "value": "040 123 4567"},
        {"operation_id": "a", "kind": "phone", "value": "+358401234567", "marketing_consent": True},
        {"operation_id": "a", "kind": "phone", "value": "12"},
        {"operation_id": "b", "kind": "phone", "value": "070-174 06 05", "is_primary": True},
        {"operation_id": "b", "kind": "email", "value": "no at sign"},
        {"operation_id": "c", "kind": "phone", "value": "+46701740605", "removed": True},
    ]
    ops = [operation("a", "2026-01-05 10:00"), update("b", "2026-01-06 10:00", channel_id="SE"),
           update("c", "2026-01-07 10:00")]  # fmt: skip
    master.deliver("pos/2026-01-07/S1", customers=ops, customer_contacts=contacts)
    master.night("2026-01-07")
    columns = ("contact_no", "normalized", "is_primary", "is_valid", "consent")
    assert [master.on("customers.contacts", f"2026-01-0{d}", *columns) for d in (5, 6, 7)] == [
        [(1, "+358401234567", True, True, True), (2, "12", False, False, False)],
        [(1, "+358401234567", False, True, True), (2, "12", False, False, False),
         (3, "noatsign", True, False, False), (4, "+46701740605", True, True, False)],
        [(1, "+358401234567", True, True, True), (2, "12", False, False, False),
         (3, "noatsign", True, False, False)],
    ]  # fmt: skip


def test_addresses_follow_the_customer_where_they_say_nothing_of_their_own(master: Master) -> None:
    master.deliver("hq/2026-01-01/hq", **store())
    firm = {"customer_type": "organization", "last_name": None, "organization_name": "Oy Ab", "phone": "1"}
    master.deliver(
        "pos/2026-01-08/S1",
        customers=[operation("a", "2026-01-05 10:00", **firm), operation("b", "2026-01-05 10:00", "K2"),
                   update("c", "2026-01-08 10:00", organization_name="Uusi Oy")],
        customer_addresses=[
            {"operation_id": "a", "address_id": "1"},
            {"operation_id": "a", "address_id": "2", "name": "Dock", "country": "SE", "purpose": "delivery"},
            {"operation_id": "b", "address_id": "1", "valid_to": "2026-02-01"},
            {"operation_id": "c", "address_id": "2", "zip": "00200", "is_primary": True},
        ],
    )  # fmt: skip
    master.night("2026-01-08")
    columns = ("account", "address_id", "known_from", "name", "phone", "purpose", "zip", "country", "is_primary")
    assert master.rows("customers.addresses", *columns) == [
        ("K1", "1", "0001-01-01", "Oy Ab", "1", "business", "00100", "FI", True),
        ("K1", "1", "2026-01-08", "Uusi Oy", "1", "business", "00100", "FI", False),
        ("K1", "2", "0001-01-01", "Dock", "1", "delivery", "00100", "SE", False),
        ("K1", "2", "2026-01-08", "Dock", "1", "delivery", "00200", "SE", True),
        ("K2", "1", "0001-01-01", "Virtanen", None, "home", "00100", "FI", True),
    ]


def test_attributes_are_typed_refused_alone_and_filled_in(master: Master) -> None:
    definitions = [
        {"attribute": "stars", "type": "integer", "minimum": "1", "maximum": "5", "default": "3"},
        {"attribute": "size", "type": "text", "allowed_values": "S|M|L"},
    ]
    master.deliver("hq/2026-01-01/hq", **store(), customer_attribute_definitions=definitions)
    given = [("a", "stars", "6"), ("a", "size", "M"), ("a", "shoe", "43"), ("b", "stars", "5"), ("b", "size", "XL"),
             ("c", "stars", None), ("c", "size", None)]  # fmt: skip
    ops = [operation("a", "2026-01-05 10:00"), update("b", "2026-01-06 10:00"), update("c", "2026-01-07 10:00")]
    rows = [{"operation_id": of, "attribute": name, "value": value} for of, name, value in given]
    master.deliver("pos/2026-01-07/S1", customers=ops, customer_attributes=rows)
    master.night("2026-01-07")
    seen = [
        master.on("customers.attributes", f"2026-01-0{d}", "attribute", "value", "is_default", where="account = 'K1'")
        for d in (5, 6, 7)
    ]
    assert seen == [
        [("size", "M", False), ("stars", "3", True)],
        [("size", "M", False), ("stars", "5", False)],
        [("stars", "3", True)],
    ]
    assert master.rows("ops.quarantine", "record_key", "rule", "line") == [
        ("a", "attribute_range", 2), ("a", "attribute_undefined", 4), ("b", "attribute_value", 6),
    ]  # fmt: skip


def test_customers_of_equal_name_and_contact_are_listed_as_likely_duplicates(master: Master) -> None:
    master.deliver("hq/2026-01-01/hq", **store())
    ops = [
        operation("a", "2026-01-05 10:00", "K2", first_name="José", last_name="De La Cruz", email="J@shop.com"),
        operation("b", "2026-01-05 10:00", "K1", first_name="JOSE", last_name="delacruz", email="j@shop.com"),
        operation("c", "2026-01-05 10:00", "K3", first_name="Jose", last_name="Cruz", email="j@shop.com"),
    ]
    master.deliver("pos/2026-01-05/S1", customers=ops)
    master.night("2026-01-05")
    assert master.rows("customers.likely_duplicates") == [("K1", "K2", "email")]
    master.deliver("pos/2026-01-06/S1", customers=[update("d", "2026-01-06 10:00", "K1", last_name="Cruz")])
    master.night("2026-01-06")
    assert master.rows("customers.likely_duplicates") == [("K1", "K3", "email")]


def test_a_crowd_of_one_name_and_contact_is_listed_with_its_lowest_account(master: Master) -> None:
    def walk_in(number: int, **other: Any) -> Row:
        return operation(f"a{number}", "2026-01-05 10:00", f"K{number:02}", **{"phone": "+358401234567", **other})

    pairs = ("count(*)", "count(distinct account)", "min(account)", "max(other_account)")
    master.deliver("hq/2026-01-01/hq", **store())
    crowd = [walk_in(n) for n in range(1, 51)] + [walk_in(98, last_name="Else"), walk_in(99, last_name="else")]
    master.deliver("pos/2026-01-05/S1", customers=crowd)
    master.night("2026-01-05")
    assert master.rows("customers.likely_duplicates", *pairs) == [(50 * 49 // 2 + 1, 50, "K01", "K99")]

    master.deliver("pos/2026-01-06/S1", customers=[walk_in(60)])
    master.night("2026-01-06")  # one more than all pairs are made of: also those whom tonight did not touch
    assert master.rows("customers.likely_duplicates", *pairs) == [(50 + 1, 2, "K01", "K99")]
    assert master.rows("customers.likely_duplicates", "other_account", where="account = 'K01'")[-1] == ("K60",)

    again = update("b", "2026-01-07 10:00", "K01", clears="phone", email="one@shop.com")
    same = update("c", "2026-01-07 10:00", "K33", email="one@shop.com")
    master.deliver("pos/2026-01-07/S1", customers=[again, same])
    master.night("2026-01-07")  # the lowest leaves, and all pairs of the others are listed again
    assert master.rows("customers.likely_duplicates", *pairs) == [(50 * 49 // 2 + 2, 51, "K01", "K99")]
    assert master.rows("customers.likely_duplicates", where="account = 'K01'") == [("K01", "K33", "email")]


def test_a_contact_that_one_gives_up_the_night_another_gets_it_is_read_for_both(master: Master) -> None:
    master.deliver("hq/2026-01-01/hq", **store())
    master.deliver("pos/2026-01-05/S1", customers=[operation("a", "2026-01-05 10:00", email="x@shop.com")])
    master.deliver("pos/2026-01-05/S2", customers=[operation("b", "2026-01-05 10:00", "K2")])
    master.night("2026-01-05")
    master.deliver("pos/2026-01-05/S1", customers=[operation("a", "2026-01-05 10:00")])
    master.deliver("pos/2026-01-06/S1", customers=[update("c", "2026-01-06 10:00", "K2", email="x@shop.com")])
    master.night("2026-01-06")
    assert master.rows("customers.contacts", "account", "value", "is_valid") == [("K2", "x@shop.com", True)]


def test_a_corrected_drop_withdraws_what_it_no_longer_holds(master: Master) -> None:
    master.deliver("hq/2026-01-01/hq", **store())
    master.deliver(
        "pos/2026-01-05/S1", customers=[operation("a", "2026-01-05 10:00"), operation("b", "2026-01-05 10:00", "K2")]
    )
    master.night("2026-01-05")
    master.deliver("pos/2026-01-05/S1", customers=[operation("a", "2026-01-05 10:00")])
    assert "customers.customer_versions" in master.night("2026-01-06")
    assert master.rows("customers.customers", "account") == [("K1",)]
    assert master.rows("customers.operations", "operation_id") == [("a",)]


def test_versions_that_no_longer_count_are_forgotten_once_they_are_more_than_a_third(master: Master) -> None:
    master.only_whole = True
    master.deliver("hq/2026-01-01/hq", **store())
    for day in range(5, 8):
        master.deliver(
            f"pos/2026-01-0{day}/S1", customers=[operation(f"a{day}", f"2026-01-0{day} 10:00", phone=str(day))]
        )
        assert customers.forget_superseded(master) == 0  # type: ignore[arg-type]
        master.night(f"2026-01-0{day}")
    before = {
        table: master.rows(table) for table in ("customers.customers", "customers.contacts", "customers.operations")
    }
    assert len(master.rows("customers.operation_versions")) == 1 + 2 + 3
    assert customers.forget_superseded(master) > 0  # type: ignore[arg-type]
    assert {table: master.rows(table) for table in before} == before
    assert len(master.rows("customers.operation_versions")) == 3


def test_five_thousand_addresses_and_a_thousand_and_one_contacts_are_all_kept_and_told(master: Master) -> None:
    master.deliver("hq/2026-01-01/hq", **store())
    contacts = [{"operation_id": "a", "kind": "email", "value": f"{n}@shop.com"} for n in range(1_000)]
    addresses = [{"operation_id": "a", "address_id": str(n)} for n in range(1_000)]
    master.deliver("pos/2026-01-05/S1", customers=[operation("a", "2026-01-05 10:00")], customer_contacts=contacts,
                   customer_addresses=addresses)  # fmt: skip
    master.night("2026-01-05")
    assert not [name for name in master.log if name.startswith("over_")]
    contacts = [{"operation_id": "b", "kind": "email", "value": "1001@shop.com"}]
    addresses = [{"operation_id": "b", "address_id": str(n)} for n in range(1_000, 5_000)]
    master.deliver("pos/2026-01-06/S1", customers=[operation("b", "2026-01-06 10:00")], customer_contacts=contacts,
                   customer_addresses=addresses)  # fmt: skip
    master.night("2026-01-06")
    shown = ("count(*)", "count(*) filter (where is_primary)")
    assert master.on("customers.addresses", "2026-01-06", *shown) == [(5_000, 1)]
    assert master.on("customers.contacts", "2026-01-06", *shown) == [(1_001, 1)]
    assert (master.log["over_1000_addresses"], master.log["over_1000_contacts"]) == (1, 1)


def test_bad_input_stops_no_night(master: Master) -> None:
    odd = {"attribute": "n", "type": "integer", "minimum": "low", "maximum": "1e999999", "allowed_values": "|||"}
    master.deliver(
        "hq/2026-01-01/hq", customer_attribute_definitions=[odd], customer_groups=[{"id": "G"}],
        **store(default_customer_id="NOBODY", country="Atlantis", time_zone=""),
    )  # fmt: skip
    ops = [
        operation("a", "2026-01-05 10:00", "C999999999999999", clears="|nothing|last_name||", phone="0" * 3000,
                  email="@" * 500, first_name="\u200f'; drop table x; --"),
        operation("b", "2026-01-05 10:00", "operation x", async_id="C1"),
        guest("c", "2026-01-05 10:00", "x" * 10_000),
    ]  # fmt: skip
    attributes = [{"operation_id": "a", "attribute": "n", "value": "9" * 500}]
    affiliations = [{"operation_id": "a", "affiliation_id": "z", "valid_from": "2026-02-01", "valid_to": "2026-01-01"}]
    master.deliver(
        "pos/2026-01-05/S1", customers=ops, customer_attributes=attributes, customer_affiliations=affiliations
    )
    master.night("2026-01-05")
    accounts = master.rows("customers.customers", "account", "status")
    assert accounts == [("C1000000000000000", "synced"), ("C999999999999999", "synced"), ("operation x", "synced")]
    assert master.rows("ops.quarantine", "rule") == [("attribute_type",)]
    assert master.night("2026-01-06") == []

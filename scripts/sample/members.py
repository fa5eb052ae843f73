"""What head office knows: channels, products, and who the households are.

Households, their home stores, first purchases and demographics are real. Names, contacts, addresses and card types are
made: example.com addresses, 555-01xx numbers, zip codes nobody has.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import duckdb

from scripts.sample.drops import Drop, Row
from scripts.sample.journey import ZONE
from scripts.sample.shop import CALL_CENTER, DAYS, FIRST, LAST, PROGRAM, STORES, Shop, draw, local

GROUPS = {"NORTH": ["S00367", "S00406", "S00292"], "EAST": ["S31782", "S00356", "S00424", "S00321", CALL_CENTER]}
GROUPS["SOUTH"] = [store for store in STORES if store not in GROUPS["NORTH"] + GROUPS["EAST"]]

_FIRST = (
    "Ada Alma Amos Anya Basil Bea Carl Cleo Dora Edgar Ellis Enid Farah Felix Flora Gia Greta Hal Hana Hugo Ida "
    "Ines Ivo Jonah June Kai Keiko Lena Leo Lila Luis Maia Marek Mina Nils Noor Núria Olga Omar Otto Pia Quinn "
    "Rafael Rhea Rosa Saul Selma Søren Stella Tariq Tess Uma Vera Viktor Wanda Wes Xenia Yara Yusuf Zoë"
)
_LAST = (
    "Abbott Acorn Alder Ashby Bannister Barley Birch Bramble Brook Calder Cedar Clay Copper Crane Dale Darrow Elm "
    "Fennel Fern Finch Flint Forester Garnet Glade Hawthorn Hazel Heath Heron Holm Ivers Juniper Kestrel Lark "
    "Linden Marsh Meadow Mill Moss Nettle Oakes Orchard Pebble Pine Plover Quarry Reed Ridge Rowan Rush Sedge "
    "Sparrow Stone Thistle Thorne Vale Wade Warbler Willow Wren Yarrow"
)
FIRST_NAMES, LAST_NAMES = _FIRST.split(), _LAST.split()
AREA_CODES = ("216", "330", "419", "513", "614", "740", "937")


@dataclass
class Member:
    """A household with its card. ``customer_id`` is the account, or the GUID of one who signed up at a store."""

    household: int
    customer_id: str
    card_id: str
    card_type: str
    home: str
    enrolled_from: date
    first_name: str
    last_name: str
    email: str
    phone: str
    staff: bool
    demographics: Row

    @property
    def signed_up_at_store(self) -> bool:
        return not self.customer_id.startswith("C0")


def members(con: duckdb.DuckDBPyConnection, shop: Shop) -> dict[int, Member]:
    """The sampled households, lowest first.

    Most hold their card since their first purchase of the year. Some that the ten stores first see after a week join on
    that day; six of these sign up at the till, as asynchronous customers.
    """
    known = con.execute(
        "select household_id, min(business_date) from transactions "
        "where loyalty_card_id in (select unnest(?)) group by all",
        [sorted({receipt.card for receipt in shop.receipts})],
    ).fetchall()
    cursor = con.execute("from demographics")
    names = [column[0] for column in cursor.description or []]
    demographics = {row[0]: dict(zip(names, row, strict=True)) for row in cursor.fetchall()}
    visits: dict[str, list[Any]] = {}
    for receipt in shop.receipts:
        visits.setdefault(receipt.card, []).append(receipt)
    found: dict[int, Member] = {}
    signed_up = 0
    for ordinal, (household, first_purchase) in enumerate(sorted(known)):
        card = f"CJ{household:07}"
        stores = [receipt.drop.source for receipt in visits[card]]
        first_seen = visits[card][0]
        joins = first_seen.day >= FIRST + timedelta(7) and draw(3, "joins", household) == 0
        at_till = joins and signed_up < 6 and len(stores) >= 3 and not first_seen.reserved
        signed_up += at_till
        first, last = _name("member", household)
        found[household] = Member(
            household=household,
            customer_id=str(uuid.uuid5(uuid.NAMESPACE_URL, card)) if at_till else f"C{household:08}",
            card_id=card,
            card_type=_card_type(household),
            home=first_seen.drop.source if at_till else max(sorted(set(stores)), key=stores.count),
            enrolled_from=first_seen.day if joins else first_purchase,
            first_name=first,
            last_name=last,
            email=_email(first, last, household),
            phone=phone(ordinal),
            staff=draw(80, "staff", household) == 0 and not at_till,
            demographics=demographics.get(household, {}),
        )
    return found


def _name(*key: object) -> tuple[str, str]:
    return FIRST_NAMES[draw(len(FIRST_NAMES), "first", *key)], LAST_NAMES[draw(len(LAST_NAMES), "last", *key)]


def _email(first: str, last: str, number: int) -> str:
    plain = f"{first}.{last}".lower().translate(str.maketrans("úøë", "uoe"))
    return f"{plain}.{number}@example.{('com', 'org', 'net')[draw(3, 'host', number)]}"


def phone(ordinal: int) -> str:
    """The ordinal-th number that is kept for fiction: 555-0100 to 555-0199 in each area code."""
    return f"+1 {AREA_CODES[ordinal // 100]} 555 01{ordinal % 100:02}"


def _card_type(household: int) -> str:
    kind = draw(100, "card type", household)
    return "as_card_tender" if kind < 60 else "as_contact_tender" if kind < 98 else "no_tender"


def address(*key: object) -> Row:
    """A made address, with the zip codes 00001 to 00099 that no place has."""
    return {
        "street": f"{1 + draw(999, 'number', *key)} Example {('Street', 'Avenue', 'Lane')[draw(3, 'street', *key)]}",
        "city": ("Sampleton", "Fixture Falls", "Mockbury")[draw(3, "city", *key)],
        "zip": f"{1 + draw(99, 'zip', *key):05}",
        "country": "US",
    }


def reference(con: duckdb.DuckDBPyConnection, shop: Shop, people: dict[int, Member], ordered: set[str]) -> None:
    """Head office's records: the first day's drop holds all that is known by then, later ones what is new that day.

    ``ordered``: products the call center sells besides those the stores sold.
    """
    hq = shop.hq(FIRST)
    _channels(hq)
    _products(con, hq, ordered | {line["product_id"] for receipt in shop.receipts for line in receipt.lines})
    hq.add("affiliations", {"id": "staff", "name": "Staff"}, {"id": "senior", "name": "65 and older"})
    hq.add(
        "customer_groups",
        {"id": "RETAIL", "name": "Retail customers", "financial_dimensions": '{"dept": "10"}'},
        {"id": "STAFF", "name": "Staff", "financial_dimensions": '{"dept": "90"}'},
    )
    _attribute_definitions(hq)
    for number, group in enumerate(GROUPS):
        hq.add("customers", _default_customer(number, group))
    for member in people.values():
        _member(shop, member)


def _channels(hq: Drop) -> None:
    for number, (group, channels) in enumerate(GROUPS.items()):
        for channel in channels:
            hq.add(
                "channels",
                {
                    "channel_id": channel,
                    "kind": "call_center" if channel == CALL_CENTER else "store",
                    "name": "Call center" if channel == CALL_CENTER else f"Store {int(channel[1:])}",
                    "legal_entity": "CJUS",
                    "currency": "USD",
                    "time_zone": ZONE,
                    "country": "US",
                    "org_path": f"/US/{group}/{channel}",
                    # One store names a default customer nobody made: the night's report says so.
                    "default_customer_id": "C00002999" if channel == "S00384" else f"C{2901 + number:08}",
                    "database": channel,
                    "data_group": group.lower(),
                    "customer_mode": "sync" if channel == CALL_CENTER else "async",
                    "warehouse": f"WH-{group}",
                },
            )


def _products(con: duckdb.DuckDBPyConnection, hq: Drop, wanted: set[str]) -> None:
    rows = con.execute(
        "select product_id, name, category_id, brand, eligible_points from products "
        "where product_id in (select unnest(?)) order by product_id::bigint",
        [sorted(wanted)],
    ).fetchall()
    columns = ("product_id", "name", "category_id", "brand", "eligible_points")
    hq.add("products", *(dict(zip(columns, row, strict=True)) for row in rows))
    hq.add(
        "products",
        {"product_id": "GIFT-CARD", "name": "Gift card", "category_id": "MISCELLANEOUS", "eligible_points": False},
    )
    rows = con.execute("select category_id, parent_id, name from categories order by category_id").fetchall()
    hq.add("categories", *(dict(zip(("category_id", "parent_id", "name"), row, strict=True)) for row in rows))


def _attribute_definitions(hq: Drop) -> None:
    texts = {
        "age": "19-24|25-34|35-44|45-54|55-64|65+",
        "household_size": "1|2|3|4|5+",
        "kids_count": "0|1|2|3+",
    }
    for attribute, values in texts.items():
        hq.add("customer_attribute_definitions", {"attribute": attribute, "type": "text", "allowed_values": values})
    hq.add("customer_attribute_definitions", {"attribute": "home_owner", "type": "boolean"})
    stars = {"type": "integer", "unit": "stars", "minimum": "1", "maximum": "5", "default": "3"}
    hq.add("customer_attribute_definitions", {"attribute": "stars", **stars})


def _default_customer(number: int, group: str) -> Row:
    return {
        "operation_id": f"HQ-DEFAULT-{group}",
        "operation": "create",
        "mode": "sync",
        "operated_at": "2017-01-01T06:00:00-05:00",
        "customer_id": f"C{2901 + number:08}",
        "customer_type": "person",
        "first_name": "Walk-in",
        "last_name": group.title(),
        "receipt_option": "print",
        "currency": "USD",
        "language": "en-US",
        "customer_group": "RETAIL",
        # Every customer made there would share it, and the night's report says so.
        "receipt_email": "till@example.com" if group == "SOUTH" else None,
    }


def _member(shop: Shop, member: Member) -> None:
    day = max(member.enrolled_from, FIRST)
    drop = shop.drop("pos", day, member.home) if member.signed_up_at_store else shop.hq(day)
    operation = f"{drop.source.upper()}-{member.household:06}"
    operated_at = local(member.enrolled_from, 0)
    drop.add("customers", _create(member, operation, operated_at))
    for kind, value in (("email", member.email), ("phone", member.phone)):
        if value and draw(4, "consent", kind, member.household):  # one in four was never asked
            consent = draw(10, "yes", kind, member.household) < 7
            drop.add(
                "customer_contacts",
                {
                    "operation_id": operation,
                    "kind": kind,
                    "value": value,
                    "is_primary": True,
                    "marketing_consent": consent,
                },
            )
    home = {"operation_id": operation, "address_id": "1", "is_primary": True, "purpose": "home"}
    drop.add("customer_addresses", home | address(member.household))
    for attribute, value in _attributes(member.demographics):
        drop.add("customer_attributes", {"operation_id": operation, "attribute": attribute, "value": value})
    affiliations = ["staff"] * member.staff + ["senior"] * (member.demographics.get("age") == "65+")
    for affiliation in affiliations:
        drop.add(
            "customer_affiliations",
            {"operation_id": operation, "affiliation_id": affiliation, "valid_from": member.enrolled_from},
        )
    shop.hq(day).add("loyalty_cards", card(member, member.card_id, operated_at))


def _create(member: Member, operation: str, operated_at: str) -> Row:
    identity = {"async_id": member.customer_id} if member.signed_up_at_store else {"customer_id": member.customer_id}
    return identity | {
        "operation_id": operation,
        "operation": "create",
        "mode": "async" if member.signed_up_at_store else "sync",
        "operated_at": operated_at,
        "channel_id": member.home,
        "customer_type": "person",
        "first_name": member.first_name,
        "last_name": member.last_name,
        "email": member.email,
        "phone": member.phone,
        "receipt_option": ("print", "email", "both", None)[draw(4, "receipt", member.household)],
        "customer_group": "STAFF" if member.staff else None,
    }


def _attributes(demographics: Row) -> list[tuple[str, str]]:
    texts = [(name, demographics[name]) for name in ("age", "household_size", "kids_count") if demographics.get(name)]
    owner = demographics.get("home_ownership")
    return texts + ([("home_owner", str(owner == "Homeowner").lower())] if owner in ("Homeowner", "Renter") else [])


def card(member: Member, card_id: str, issued_at: str) -> Row:
    """A member's loyalty card, enrolled in the sample programme's program."""
    return {
        "card_id": card_id,
        "card_type": member.card_type,
        "customer_id": member.customer_id,
        "program_id": PROGRAM,
        "issued_at": issued_at,
        "channel_id": member.home,
        "enrolled_from": member.enrolled_from,
    }


def updates(shop: Shop, people: dict[int, Member]) -> None:
    """A few customers change each week: at the till a new phone, at head office a consent withdrawn and an address."""
    for member in people.values():
        week = draw(60, "update", member.household)
        if not 1 <= week <= 5 or member.signed_up_at_store or member.enrolled_from > FIRST:
            continue
        day = DAYS[7 * week + draw(6, "weekday", member.household)]
        store_day = shop.open_day(member.home, day)
        if draw(2, "where", member.household) and store_day:
            operation = _update(member, f"{member.home}-U{member.household:06}", store_day, member.home)
            number = phone(600 + member.household % 100)
            shop.drop("pos", store_day, member.home).add("customers", operation | {"phone": number})
        elif day <= LAST:
            drop, operation = shop.hq(day), _update(member, f"HQ-U{member.household:06}", day, None)
            drop.add("customers", operation)
            identity = {"operation_id": operation["operation_id"]}
            drop.add(
                "customer_contacts", identity | {"kind": "email", "value": member.email, "marketing_consent": False}
            )
            drop.add("customer_addresses", identity | {"address_id": "1"} | address("moved", member.household))


def _update(member: Member, operation: str, day: date, channel: str | None) -> Row:
    return {
        "operation_id": operation,
        "operation": "update",
        "mode": "async" if channel else "sync",
        "operated_at": local(day, 12, 30),
        "channel_id": channel,
        "customer_id": member.customer_id,
    }

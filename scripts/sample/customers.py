"""What channels do to customers besides signing members up: each rule of the customer master shown once.

All of it is made. Accounts C00002951 to C00002959 are nobody's household.
"""

from __future__ import annotations

from datetime import date

from scripts.sample.drops import Drop, Row
from scripts.sample.shop import DAYS, Shop, local

GUEST, STRANGER = "7f0c0f6e-51b0-5d0e-9a0c-000000000001", "7f0c0f6e-51b0-5d0e-9a0c-000000000002"


def operations(shop: Shop) -> None:
    """Organizations, likely duplicates, consent taken back, operations out of order, and some that cannot count."""
    _organization(shop)
    _duplicates(shop)
    _guests(shop)
    _failing(shop)


def _hq(shop: Shop, day: date) -> Drop:
    """Head office's first drop from a day on: a day on which it says nothing has none."""
    return next(shop.drops[f"hq/{later}/hq"] for later in DAYS if later >= day and f"hq/{later}/hq" in shop.drops)


def _operation(identifier: str, day: date, account: str | None, hour: int = 10, **other: object) -> Row:
    return {
        "operation_id": identifier, "operation": "create", "mode": "sync", "operated_at": local(day, hour),
        "customer_id": account, "customer_type": "person", **other,
    }  # fmt: skip


def _organization(shop: Shop) -> None:
    drop = _hq(shop, DAYS[7])
    day, name = drop.business_date, "HQ-FIRM"
    firm = {"customer_type": "organization", "organization_name": "Fern & Finch Ltd", "channel_id": "S00367"}
    drop.add("customers", _operation(name, day, "C00002951", email="office@example.org", **firm))
    email = {"kind": "email", "value": "Office@example.org"}
    drop.add("customer_contacts", {"operation_id": name, **email, "marketing_consent": True})
    address = {"street": "1 Fern Way", "city": "Ashby", "zip": "00017"}
    drop.add("customer_addresses", {"operation_id": name, "address_id": "1", **address})
    drop.add("customer_attributes", {"operation_id": name, "attribute": "stars", "value": "6"})
    later = _hq(shop, DAYS[10])
    name = "HQ-FIRM-2"
    said = {"operation": "update", "customer_type": None, "clears": "email"}
    later.add("customers", _operation(name, later.business_date, "C00002951", **said))
    second = {"kind": "email", "value": "sales@example.org", "is_primary": True, "marketing_consent": False}
    later.add("customer_contacts", {"operation_id": name, **second})


def _duplicates(shop: Shop) -> None:
    drop = _hq(shop, DAYS[8])
    day = drop.business_date
    same = {"email": "zoe.marsh@example.net", "channel_id": "S00406"}
    drop.add("customers", _operation("HQ-ZOE-1", day, "C00002952", first_name="Zoë", last_name="Marsh", **same))
    drop.add("customers", _operation("HQ-ZOE-2", day, "C00002953", first_name="ZOE", last_name="MARSH", **same))
    till = shop.drop("pos", shop.next_open("S00406", DAYS[9]), "S00406")  # of an hour before, and comes a day later
    late = {"operation": "update", "customer_type": None, "phone": "+1 513 555 0101", "title": "Dr"}
    till.add("customers", _operation("S00406-LATE", day, "C00002952", 9, channel_id="S00406", **late))


def _guests(shop: Shop) -> None:
    """One made offline at two tills, one account; and one whom no till has created yet."""
    signed = {"mode": "async", "first_name": "Iris", "last_name": "Garnet", "email": "iris.garnet@example.com"}
    first, second = shop.next_open("S00367", DAYS[9]), shop.next_open("S00406", DAYS[11])
    for store, day in (("S00367", first), ("S00406", second)):
        names = {"channel_id": store, "async_id": GUEST}
        shop.drop("pos", day, store).add("customers", _operation(f"{store}-GUEST", day, None, **signed, **names))
    unknown = {"operation": "update", "mode": "async", "async_id": STRANGER, "customer_type": None, "language": "es-US"}
    drop = shop.drop("pos", second, "S00406")
    drop.add("customers", _operation("S00406-STRANGER", second, None, channel_id="S00406", **unknown))


def _failing(shop: Shop) -> None:
    drop = _hq(shop, DAYS[15])
    day = drop.business_date
    for name, account, other in (
        ("NO-TYPE", "C00002955", {"customer_type": None, "last_name": "Sedge"}),
        ("NO-NAME", "C00002956", {"title": "Dr"}),
        ("NO-ID", None, {"last_name": "Sedge"}),
        ("GUID-TAKEN", "C00002957", {"last_name": "Sedge", "async_id": GUEST}),
        ("NO-CHANNEL", "C00002958", {"last_name": "Sedge", "channel_id": "S99999"}),
        ("NO-GROUP", "C00002959", {"last_name": "Sedge", "customer_group": "VIP"}),
    ):
        drop.add("customers", _operation(f"HQ-{name}", day, account, **other))

"""The customers' section of a night's report: counts and channels, never a person."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from kanta.night import Night

TABLES = (
    "customers.account_map", "customers.customers", "customers.likely_duplicates", "customers.operations",
    "ops.quarantine", "reference.channels",
)  # fmt: skip


@dataclass(frozen=True)
class Customers:
    """``waiting``: customers made offline without an account, ``since`` the first operation on one of them;
    ``failed``: operations set aside by rule; ``channels``: each channel whose default customer is amiss, and how.
    """

    synced: int
    erased: int
    waiting: int
    since: date | None
    given_tonight: int
    duplicates: int
    failed: list[tuple[str, int]] = field(default_factory=list)
    channels: list[tuple[str, str]] = field(default_factory=list)


_COUNTS = """
    select
        count(*) filter (where status = 'synced'),
        count(*) filter (where status = 'erased'),
        count(*) filter (where status = 'pending')
    from customers.customers
    where valid_to = date '9999-12-31'
"""
_SINCE = "select cast(min(operated_at) as date) from customers.operations where status = 'pending' and mode = 'async'"
_FAILED = """
    select rule, count(*) as operations
    from ops.quarantine
    where
        status = 'open'
        and dataset in ('customers', 'customer_attributes')
        and rule not like '%:%'
        and raw is null
    group by rule
    order by operations desc, rule
"""

#: Channels as of the night whose default customer nobody made, or whose receipts would all go to one address.
CHANNELS = """
    select
        channels.channel_id,
        case
            when defaults.account is null then 'its default customer is unknown'
            else 'its default customer carries a receipt_email, which every new customer would share'
        end as what
    from reference.channels as channels
    left join customers.account_map as mapped
        on channels.default_customer_id = mapped.async_id
    left join customers.customers as defaults
        on coalesce(mapped.account, channels.default_customer_id) = defaults.account
        and defaults.status <> 'pending'
        and $night >= defaults.valid_from
        and $night < defaults.valid_to
    where
        $night between channels.valid_from and channels.valid_to
        and channels.default_customer_id is not null
        and (defaults.account is null or defaults.receipt_email is not null)
    order by channels.channel_id
"""


def of(night: Night) -> Customers:
    """The figures as the night left them; reads ``TABLES``."""
    rows, day = night.engine.rows, {"night": night.business_date}
    ((synced, erased, waiting),) = rows(_COUNTS)
    ((since,),) = rows(_SINCE)
    ((given,),) = rows("select count(*) from customers.account_map where given_on = $night", day)
    ((duplicates,),) = rows(
        "select count(*) from (select distinct account, other_account from customers.likely_duplicates)"
    )
    return Customers(synced, erased, waiting, since, given, duplicates, rows(_FAILED), rows(CHANNELS, day))

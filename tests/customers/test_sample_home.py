"""The sample as a home: who may be written to agrees with the master, and an erased customer is nowhere in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import pytest

from kanta import audience, demo, night, reading, report, simulate
from kanta.analysts.downloads import csv
from kanta.customers import erasure
from kanta.home import Home
from kanta.lake import Lake
from tests.conftest import NoJudge
from tests.customers.test_erasure import texts

LISTED = "select customer_id, value from marketing.contact_list where kind = 'email' order by all"
#: What the newest answer of each account says of an address, worked out from the landed rows alone.
CONSENTS = """
    with said as (
        select
            coalesce(operations.customer_id, map.account, operations.async_id) as account,
            lower(trim(contacts.value)) as value,
            arg_max(contacts.marketing_consent, row(operations.operated_at, operations.operation_id))
                filter (where contacts.marketing_consent is not null) as consent
        from landed.customer_contacts as contacts
        inner join landed.customers as operations
            on contacts.operation_id = operations.operation_id and contacts.drop_id = operations.drop_id
        left join customers.account_map as map on operations.async_id = map.async_id
        where contacts.kind = 'email'
        group by all
    )
    select account, value, consent from said
"""
#: Someone on the list whose orders are all done, with an address.
ORDERED = """
    with orders as (
        select * from landed.orders
        qualify row_number() over (partition by order_id order by drop_date desc, drop_id desc) = 1
    )
    select orders.customer_id
    from orders
    inner join landed.order_addresses as addresses on orders.order_id = addresses.order_id
    where orders.customer_id in (select customer_id from marketing.contact_list where kind = 'email')
    group by orders.customer_id
    having bool_and(orders.status in ('invoiced', 'cancelled')) and bool_or(orders.status = 'invoiced')
    order by 1 limit 1
"""
#: What is theirs alone: of names, streets and cities others have the same.
OWN = """
    with held as (
        select account, unnest([value, normalized]) as value from customers.contact_versions
        union all
        select customer_id, unnest([addresses.phone, addresses.email])
        from landed.order_addresses as addresses
        inner join landed.orders as orders on addresses.order_id = orders.order_id
    )
    select value from held where value is not null
    group by value having bool_and(account = $account)
"""


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Four nights of the sample as one run, the page of the last and a simulation."""
    home = demo._fresh(Home(tmp_path_factory.mktemp("sample") / "home"))
    first, _ = demo._span(demo.SAMPLE / "landing")
    last = first + timedelta(days=3)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Lake, "_to_iceberg", lambda *_: 0)  # its metadata is searched in test_erasure.py
        demo._deliver(home, demo.Leg(first, last))
        night.run(home, first, last, judge=NoJudge())
        report.write(home)
        simulate.write(home, simulate.simulate(home, home.programme))
        yield home


@pytest.mark.slow
def test_an_audience_is_who_consented_and_everyone_else_is_counted_with_a_reason(sample: Home) -> None:
    found = audience.of(sample, "true", "email")
    with reading.open_lake(
        sample, ["marketing.contact_list", "customers.customers", "landed.customer_contacts", "landed.customers",
                 "customers.account_map"],
    )[0] as engine:  # fmt: skip
        listed = engine.rows(LISTED)
        consents = {(account, value): consent for account, value, consent in engine.rows(CONSENTS)}
        silent = {account for (account,) in engine.rows(
            "select account from customers.customers where on_hold or status <> 'synced'"
        )}  # fmt: skip
    chosen = dict(zip(found.rows["customer_id"].to_pylist(), found.rows["value"].to_pylist(), strict=True))
    assert len(chosen) > 100
    assert chosen.items() <= set(listed)
    assert Counter(chosen.values()).most_common(1)[0][1] == 1
    assert [pair for pair in listed if consents.get(pair) is not True] == []
    refused = {value for (_, value), consent in consents.items() if consent is False}
    assert not refused & set(chosen.values()), "an address somebody forbade is written to"
    assert not silent & chosen.keys()
    assert set(chosen.values()) == {value for _, value in listed}, "an address that may be written to is left out"
    assert found.counts()["matching"] == len(chosen) + sum(found.left_out.values())
    basic = audience.of(sample, "tier = 'basic'", "email").rows
    assert 0 < basic.num_rows < len(chosen)
    assert set(basic["tier"].to_pylist()) == {"basic"}


@pytest.mark.slow
def test_an_erased_customer_of_the_sample_is_in_no_file_of_its_home(sample: Home) -> None:
    tables = ["landed.orders", "landed.order_addresses", "marketing.contact_list", "customers.contact_versions"]
    with reading.open_lake(sample, tables)[0] as engine:
        account = engine.value(ORDERED)
        own = {value for (value,) in engine.rows(OWN, {"account": account})}
    assert len(own) >= 2
    (sample.reports / "list.csv").write_bytes(csv(audience.of(sample, f"customer_id = '{account}'", "email").rows))
    data_docs = sample.reports / "data_docs" / "validations" / "contacts.html"
    data_docs.parent.mkdir(parents=True)
    data_docs.write_text("".join(f"<td>{value}</td>" for value in sorted(own)))
    places = {
        file.relative_to(sample.root).parts[0] for file, text in texts(sample.root) if any(v in text for v in own)
    }
    assert places >= {"lake", "landing", "outbox", "reports"}
    points = "select card_id, sum(points) from loyalty.entries group by all order by all"
    with reading.open_lake(sample, ["loyalty.entries"])[0] as engine:
        before = engine.rows(points)
    assert erasure.erase(sample, account)["pages"] == 2
    found = {
        f"{value} in {file.relative_to(sample.root)}"
        for file, text in texts(sample.root)
        for value in own
        if value in text
    }
    assert found == set()
    with reading.open_lake(sample, ["loyalty.entries"])[0] as engine:
        assert engine.rows(points) == before
    assert audience.of(sample, f"customer_id = '{account}'", "email").rows.num_rows == 0

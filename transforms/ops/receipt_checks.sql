-- What is odd about receipts: told of those that count, and what keeps those that are refused from counting.
-- grain: transaction_id, line_no, rule; line_no 0 stands for the receipt as a whole
-- why: tills price and print; a receipt that a till sent under two ids, or whose parts do not add up, counts as it is and is
-- told, unless the programme refuses it (spec 7-seeds-whole section 9). Whatever else is refused is in ops.quarantine.
with

off_by_points as (
    select
        transaction_id,
        any_value(store_id) as store_id,
        any_value(business_date) as business_date,
        string_agg(points || ' ' || kind || coalesce(' on ' || card_id, ''), '; ' order by card_id, kind) as expected,
        string_agg(stated || ' ' || kind || coalesce(' on ' || card_id, ''), '; ' order by card_id, kind) as found
    from ops._stated_points
    where abs(stated - points) > points_limit
    group by transaction_id
),

refused as (
    select
        quarantine.record_key as transaction_id,
        quarantine.rule,
        any_value(receipts.store_id) as store_id,
        any_value(receipts.business_date) as business_date,
        any_value(quarantine.reason) as reason,
        any_value(receipts.header) as header
    from ops.quarantine as quarantine
    inner join ops._quarantined_receipts as receipts
        on quarantine.drop_id = receipts.drop_id
        and quarantine.record_key = receipts.transaction_id
    where
        quarantine.status = 'open'
        and quarantine.dataset = 'transactions'
        and quarantine.rule in (
            'total', 'return_sign', 'gift_card_return', 'tenders', 'double', 'sign', 'negative_price', 'discount', 'tax',
            'empty', 'rounding', 'unknown'
        )
    group by
        quarantine.record_key,
        quarantine.rule
)

select
    transaction_id,
    line_no,
    rule,
    store_id,
    business_date,
    expected,
    found,
    'reported' as effect
from ops._receipt_faults

union all

select
    transaction_id,
    0 as line_no,
    'double' as rule,
    store_id,
    business_date,
    first_id as expected,
    transaction_id as found,
    'reported' as effect
from ops._doubles

union all

select
    transaction_id,
    0 as line_no,
    'points' as rule,
    store_id,
    business_date,
    expected,
    found,
    'reported' as effect
from off_by_points

union all

select
    refused.transaction_id,
    0 as line_no,
    refused.rule,
    refused.store_id,
    refused.business_date,
    case
        when refused.rule = 'total'
            then concat_ws(
                ' + ',
                json_extract_string(refused.header, '$.net_amount'),
                json_extract_string(refused.header, '$.tax_amount'),
                json_extract_string(refused.header, '$.charges_amount')
            )
        else nullif(regexp_extract(refused.reason, '^(.*) where (.*) is expected$', 2), '')
    end as expected,
    case
        when refused.rule = 'total' then json_extract_string(refused.header, '$.total_amount')
        else nullif(regexp_extract(refused.reason, '^(.*) where (.*) is expected$', 1), '')
    end as found,
    'quarantined' as effect
from refused
left join ops._checked_receipts as counted
    on refused.transaction_id = counted.transaction_id
where counted.transaction_id is null

-- Everything that opened, filled or emptied a gift card, as the documents say.
-- grain: gift_card_id, kind, document_id, line_no
-- why: a line of the day on which the card was opened sold it, so that its amount is the opening; any other line tops the
-- card up, and the opening stays (spec 7-seeds-whole section 3).
with

transactions as (
    select
        transaction_id,
        drop_id,
        business_date,
        currency
    from sales.transactions
),

landed_lines as (
    select
        transaction_id,
        drop_id,
        line_no,
        net_amount,
        gift_card_id
    from landed.lines
    where
        gift_card_id is not null
        and not coalesce(voided, false)

    union all

    select
        order_id as transaction_id,
        drop_id,
        line_no,
        net_amount,
        gift_card_id
    from landed.order_lines
    where gift_card_id is not null
),

tenders as (
    select
        transaction_id,
        tender_no,
        amount,
        currency,
        gift_card_id,
        business_date
    from sales.tenders
    where
        type = 'gift_card'
        and gift_card_id is not null
),

cards as (
    select *
    from call_center._gift_card_records
),

sold as (
    select distinct landed_lines.gift_card_id
    from landed_lines
    inner join transactions
        on landed_lines.transaction_id = transactions.transaction_id
        and landed_lines.drop_id = transactions.drop_id
    inner join cards
        on landed_lines.gift_card_id = cards.gift_card_id
        and transactions.business_date = cards.opened_on
        and transactions.currency = cards.currency
    where landed_lines.net_amount > 0
)

select
    cards.gift_card_id,
    cards.opened_on as date,
    'opening' as kind,
    0 as place,
    cast(null as varchar) as document_id,
    0 as line_no,
    case when sold.gift_card_id is null then cards.amount else 0 end as amount,
    cards.currency
from cards
left join sold
    on cards.gift_card_id = sold.gift_card_id

union all

select
    landed_lines.gift_card_id,
    transactions.business_date as date,
    'line' as kind,
    1 as place,
    transactions.transaction_id as document_id,
    landed_lines.line_no,
    landed_lines.net_amount as amount,
    transactions.currency
from landed_lines
inner join transactions
    on landed_lines.transaction_id = transactions.transaction_id
    and landed_lines.drop_id = transactions.drop_id

union all

select
    gift_card_id,
    business_date as date,
    'tender' as kind,
    2 as place,
    transaction_id as document_id,
    tender_no as line_no,
    -amount as amount,
    currency
from tenders

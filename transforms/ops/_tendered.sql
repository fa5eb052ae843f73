-- What was tendered for each checked receipt, in its currency.
-- grain: transaction_id, drop_id
-- why: a tender in another currency counts by the newest rate of the day or before; one without rate, or beyond all
-- bounds, leaves the sum unknown.
with

tenders as (
    select
        receipts.transaction_id,
        receipts.drop_id,
        tenders.amount,
        case
            when coalesce(tenders.currency, receipts.currency) = receipts.currency then 1
            else rates.rate
        end as rate
    from ops._receipt_headers as receipts
    inner join landed.tenders as tenders
        on receipts.transaction_id = tenders.transaction_id
        and receipts.drop_id = tenders.drop_id
    left join reference.exchange_rates as rates
        on tenders.currency = rates.from_currency
        and receipts.currency = rates.to_currency
        and tenders.currency <> receipts.currency
        and rates.date <= receipts.business_date
        and receipts.business_date between rates.valid_from and rates.valid_to
    qualify row_number() over (
        partition by receipts.transaction_id, receipts.drop_id, tenders.tender_no
        order by rates.date desc
    ) = 1
)

select
    transaction_id,
    drop_id,
    case
        when bool_and(rate is not null) and abs(sum(cast(amount as decimal(38, 2)) * rate)) < 1e15
            then cast(round(sum(cast(amount as decimal(38, 2)) * rate), 2) as decimal(18, 2))
    end as amount
from tenders
group by
    transaction_id,
    drop_id

-- Tenders and paid payments of the business dates that change tonight.
-- grain: transaction_id, tender_no
with

untouched as (
    select *
    from sales.tenders
    where
        business_date in (select business_date from sales._affected_days)
        and transaction_id not in (select document_id from sales._touched)
),

paid as (
    select
        transaction_id as document_id,
        'transaction' as document_kind,
        drop_id,
        tender_no,
        type,
        amount,
        currency,
        loyalty_card_id,
        reward_point_id,
        points,
        gift_card_id
    from landed.tenders

    union all

    select
        payments.order_id as document_id,
        'order' as document_kind,
        payments.drop_id,
        payments.payment_no as tender_no,
        payments.type,
        payments.amount,
        coalesce(payments.currency, orders.currency) as currency,
        payments.loyalty_card_id,
        payments.reward_point_id,
        payments.points,
        payments.gift_card_id
    from landed.order_payments as payments
    inner join landed.orders as orders
        on payments.order_id = orders.order_id
        and payments.drop_id = orders.drop_id
    where payments.status = 'paid'
),

counted as (
    select
        holding.document_id as transaction_id,
        paid.tender_no,
        paid.type,
        paid.amount,
        paid.currency,
        paid.loyalty_card_id,
        paid.reward_point_id,
        paid.points,
        paid.gift_card_id,
        holding.business_date
    from sales._holding as holding
    inner join paid
        on holding.document_id = paid.document_id
        and holding.kind = paid.document_kind
        and holding.drop_id = paid.drop_id
    where holding.counted
)

select * from untouched
union all by name
select * from counted

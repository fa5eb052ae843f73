-- Whom a campaign may write to or call, with what one selects them by.
-- grain: customer_id, kind, value
-- why: only a valid contact with the customer's consent, and none that any account's newest answer forbids. A channel's
-- default customer or another placeholder is nobody to write to.
with

customers as (
    select
        account,
        status,
        language,
        coalesce(on_hold, false) as on_hold
    from customers.customers
    where
        $business_date >= valid_from
        and $business_date < coalesce(valid_to, date '9999-12-31')
        and account not in (select account from customers._placeholder_accounts)
),

contacts as (
    select
        account,
        kind,
        normalized,
        is_valid,
        consent,
        consent_at
    from customers.contacts
    where
        $business_date >= valid_from
        and $business_date < coalesce(valid_to, date '9999-12-31')
),

forbidden as (
    select distinct
        kind,
        normalized
    from contacts
    where
        not consent
        and consent_at is not null
),

scores as (
    select
        customer_id,
        segment
    from rfm.scores
    where segment is not null
    qualify row_number() over (partition by customer_id order by as_of desc, definition) = 1
),

cards as (
    select
        cards.card_id,
        coalesce(ids.account, cards.customer_id) as customer_id
    from reference.loyalty_cards as cards
    left join call_center._customer_ids as ids
        on cards.customer_id = ids.customer_id
    where $business_date between cards.valid_from and cards.valid_to
),

tiers as (
    select
        cards.customer_id,
        stays.tier_id
    from cards
    inner join loyalty.card_tiers as stays
        on cards.card_id = stays.card_id
        and $business_date >= stays.valid_from
        and (stays.valid_to is null or $business_date <= stays.valid_to)
    qualify row_number() over (
        partition by cards.customer_id
        order by stays.level desc, stays.program_id, stays.tier_id, stays.card_id
    ) = 1
),

orders as (
    select
        coalesce(ids.account, transactions.customer_id) as customer_id,
        max(transactions.business_date) as last_order_on
    from customers.receipts as transactions
    left join call_center._customer_ids as ids
        on transactions.customer_id = ids.customer_id
    where transactions.type in ('sale', 'exchange')
    group by coalesce(ids.account, transactions.customer_id)
)

select distinct
    customers.account as customer_id,
    contacts.kind,
    contacts.normalized as value,
    customers.language,
    scores.segment,
    tiers.tier_id as tier,
    orders.last_order_on
from customers
inner join contacts
    on customers.account = contacts.account
left join forbidden
    on contacts.kind = forbidden.kind
    and contacts.normalized = forbidden.normalized
left join scores
    on customers.account = scores.customer_id
left join tiers
    on customers.account = tiers.customer_id
left join orders
    on customers.account = orders.customer_id
where
    customers.status = 'synced'
    and not customers.on_hold
    and contacts.is_valid
    and contacts.consent
    and forbidden.normalized is null

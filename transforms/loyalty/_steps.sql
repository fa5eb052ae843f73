-- What the kernel folds: open lots and deficits first, then tonight's events, in the total order of each account.
-- grain: account_no, step
-- why: kind and flags are the kernel's own numbers (kanta/ledger.py).
with

lots as (
    select
        pools.account_no,
        pools.pool,
        0 as phase,
        0 as kind,
        0 as flags,
        lots.earned_on as business_date,
        lots.remaining_h as points_h,
        lots.usable_from,
        lots.expires_on,
        lots.event_id,
        lots.lot_id,
        events.occurred_at as order_at,
        events.transaction_id as order_document,
        0 as rank,
        events.transaction_id as document_id,
        events.line_no,
        events.rule_id,
        cast(null as varchar) as event_type,
        cast(null as date) as posted_date
    from loyalty._open_lots as lots
    inner join loyalty._pools as pools
        on lots.card_id = pools.card_id
        and lots.program_id = pools.program_id
        and lots.reward_point_id = pools.reward_point_id
    left join (
        select distinct
            event_id,
            card_id,
            occurred_at,
            transaction_id,
            line_no,
            rule_id
        from loyalty.events
        where
            points > 0
            and card_id in (select card_id from loyalty._scope_cards where not again)
    ) as events
        on lots.event_id = events.event_id
        and lots.card_id = events.card_id
),

deficits as (
    select
        pools.account_no,
        pools.pool,
        1 as phase,
        1 as kind,
        0 as flags,
        date '0001-01-01' as business_date,
        deficits.deficit_h as points_h,
        cast(null as date) as usable_from,
        cast(null as date) as expires_on,
        cast(null as varchar) as event_id,
        cast(null as varchar) as lot_id,
        cast(null as timestamptz) as order_at,
        cast(null as varchar) as order_document,
        0 as rank,
        cast(null as varchar) as document_id,
        cast(null as integer) as line_no,
        cast(null as varchar) as rule_id,
        cast(null as varchar) as event_type,
        cast(null as date) as posted_date
    from loyalty._open_deficits as deficits
    inner join loyalty._pools as pools
        on deficits.card_id = pools.card_id
        and deficits.program_id = pools.program_id
        and deficits.reward_point_id = pools.reward_point_id
),

card_types as (
    select
        card_id,
        bool_or(card_type = 'as_contact_tender') as contact_tender
    from reference.loyalty_cards
    where valid_to = date '9999-12-31'
    group by card_id
),

events as (
    select
        pools.account_no,
        pools.pool,
        2 as phase,
        case
            when events.event_type = 'redeem' then 3
            when events.event_type = 'adjust' and events.points_h < 0 then 5
            when events.points_h < 0 then 4
            else 2
        end as kind,
        case when parameters.negative_balance = 'write_off' then 1 else 0 end
        + case when events.event_type = 'redeem' and card_types.contact_tender then 2 else 0 end
        + case when parameters.return_consumes = 'available_only' then 4 else 0 end as flags,
        events.business_date,
        abs(events.points_h) as points_h,
        events.usable_from,
        events.expires_on,
        events.event_id,
        cast(null as varchar) as lot_id,
        events.order_at,
        events.order_document,
        events.rank,
        events.document_id,
        events.line_no,
        events.rule_id,
        events.event_type,
        events.posted_date
    from loyalty._events as events
    inner join loyalty._pools as pools
        on events.card_id = pools.card_id
        and events.program_id = pools.program_id
        and events.reward_point_id = pools.reward_point_id
    inner join programme.parameters as parameters
        on events.version = parameters.version
    left join card_types
        on events.card_id = card_types.card_id
),

steps as (
    select * from lots
    union all by name
    select * from deficits
    union all by name
    select * from events
)

select
    account_no,
    pool,
    phase,
    kind,
    flags,
    business_date,
    points_h,
    usable_from,
    expires_on,
    event_id,
    lot_id,
    order_at,
    order_document,
    rank,
    document_id,
    line_no,
    rule_id,
    event_type,
    posted_date
from steps

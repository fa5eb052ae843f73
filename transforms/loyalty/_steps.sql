-- What the kernel folds: open lots and deficits first, then tonight's events, in the total order of each account.
-- grain: account_no, step
-- why: kind, flags, source and partner are the kernel's own numbers (kanta/ledger.py); said_h, occurred_at,
-- related_event_id and version are for the event that is posted. A date begins with replaced cards, by
-- old card, then with cards that join a customer (day_part).
with

pools as (
    select
        pool,
        account_no,
        account_id,
        again,
        card_id,
        program_id,
        reward_point_id
    from loyalty._pools
),

lots as (
    select
        pools.account_no,
        pools.pool,
        0 as phase,
        0 as kind,
        lots.earned_on as business_date,
        lots.remaining_h as points_h,
        lots.usable_from,
        lots.expires_on,
        lots.event_id,
        lots.lot_id,
        lots.order_at,
        lots.order_document,
        lots.rank,
        lots.document_id,
        lots.line_no,
        lots.rule_id
    from loyalty._open_lots as lots
    inner join pools
        on lots.card_id = pools.card_id
        and lots.program_id = pools.program_id
        and lots.reward_point_id = pools.reward_point_id
),

deficits as (
    select
        pools.account_no,
        pools.pool,
        1 as phase,
        1 as kind,
        date '0001-01-01' as business_date,
        deficits.deficit_h as points_h
    from loyalty._open_deficits as deficits
    inner join pools
        on deficits.card_id = pools.card_id
        and deficits.program_id = pools.program_id
        and deficits.reward_point_id = pools.reward_point_id
),

contact_tenders as (
    select
        card_id,
        valid_from,
        valid_to
    from loyalty._cards
    where card_type = 'as_contact_tender'
),

events as (
    select
        pools.account_no,
        pools.pool,
        2 as phase,
        case
            when events.event_type = 'redeem' then 3
            when events.event_type = 'adjust' and events.points_h < 0 then 5
            when events.event_type in ('earn', 'adjust') and events.points_h >= 0 then 2
            when gives.reward_point_id is not null then 2
            else 4
        end as kind,
        case when parameters.negative_balance = 'write_off' then 1 else 0 end
        + case when events.event_type = 'redeem' and contact_tenders.card_id is not null then 2 else 0 end
        + case when parameters.return_consumes = 'available_only' then 4 else 0 end as flags,
        events.business_date,
        2 as day_part,
        abs(events.points_h) as points_h,
        events.points_h as said_h,
        coalesce(events.usable_from, gives.usable_from) as usable_from,
        coalesce(events.expires_on, gives.expires_on) as expires_on,
        events.event_id,
        events.order_at,
        events.order_document,
        events.rank,
        events.document_id,
        events.line_no,
        events.rule_id,
        events.event_type,
        events.posted_date,
        events.occurred_at,
        events.related_event_id,
        events.version,
        case when events.event_type = 'earn' then reward_points.maximum_h end as ceiling,
        case when gives.reward_point_id is null then sources.source end as source,
        case when gives.reward_point_id is null then portions.portion_no end as partner
    from loyalty._events as events
    inner join pools
        on events.card_id = pools.card_id
        and events.program_id = pools.program_id
        and events.reward_point_id = pools.reward_point_id
    inner join programme.parameters as parameters
        on events.version = parameters.version
    inner join programme.reward_points as reward_points
        on events.version = reward_points.version
        and events.reward_point_id = reward_points.reward_point_id
    -- A line below zero that comes back: what it took is given, as if earned that day.
    left join programme.point_dates as gives
        on events.business_date = gives.business_date
        and events.reward_point_id = gives.reward_point_id
        and events.event_type = 'return_earned'
        and events.points_h > 0
    left join contact_tenders
        on events.card_id = contact_tenders.card_id
        and events.business_date between contact_tenders.valid_from and contact_tenders.valid_to
        and events.event_type = 'redeem'
    left join loyalty._references as sources
        on pools.account_id = sources.account_id
        and case
            when events.event_type = 'redeem' then events.event_id
            else events.line_id || ':' || events.program_id || ':' || events.reward_point_id
        end = sources.source_key
    left join loyalty._portions as portions
        on events.event_id = portions.event_id
        and events.card_id = portions.card_id
),

moves as (
    select
        pools.account_no,
        pools.pool,
        2 as phase,
        case when moves.event_type = 'refund' then 6 else 7 end as kind,
        case when moves.restarts then 8 else 0 end as flags,
        moves.business_date,
        2 as day_part,
        moves.points_h,
        moves.usable_from,
        moves.expires_on,
        moves.event_id,
        moves.order_at,
        moves.order_document,
        moves.rank,
        moves.document_id,
        moves.line_no,
        moves.event_type,
        moves.posted_date,
        sources.source,
        coalesce(tenders.tender, targets.pool) as partner
    from loyalty._moves as moves
    inner join pools
        on moves.card_id = pools.card_id
        and moves.program_id = pools.program_id
        and moves.reward_point_id = pools.reward_point_id
    left join pools as targets
        on moves.other_card_id = targets.card_id
        and moves.program_id = targets.program_id
        and moves.reward_point_id = targets.reward_point_id
    left join loyalty._references as sources
        on moves.account_id = sources.account_id
        and moves.source_key = sources.source_key
    left join loyalty._tender_numbers as tenders
        on moves.account_id = tenders.account_id
        and moves.tender_key = tenders.tender_key
),

replacements as (
    select
        pools.account_no,
        pools.pool,
        2 as phase,
        8 as kind,
        replaced.replaced_on as business_date,
        0 as day_part,
        'replace:' || replaced.card_id || ':' || pools.program_id || ':' || pools.reward_point_id as event_id,
        replaced.card_id as order_document,
        replaced.card_id as document_id,
        'replace' as event_type,
        case
            when replaced.drop_date > $published_date then greatest(replaced.drop_date, replaced.replaced_on)
            else $business_date
        end as posted_date,
        targets.pool as partner
    from loyalty._replaced as replaced
    inner join pools
        on replaced.card_id = pools.card_id
    inner join pools as targets
        on replaced.owner_card_id = targets.card_id
        and pools.program_id = targets.program_id
        and pools.reward_point_id = targets.reward_point_id
    where
        pools.again
        and replaced.owned_from = replaced.replaced_on
),

given as (
    select
        card_id,
        valid_from,
        customer_id,
        customer_id is distinct from lag(customer_id) over (partition by card_id order by valid_from) as changes
    from loyalty._cards
    where card_id in (select card_id from loyalty._scope_cards where again)
),

joins as (
    select
        pools.account_no,
        pools.pool,
        2 as phase,
        9 as kind,
        given.valid_from as business_date,
        1 as day_part,
        given.card_id as order_document,
        coalesce(parties.party, -1) as partner
    from given
    inner join pools
        on given.card_id = pools.card_id
    left join loyalty._parties as parties
        on given.customer_id = parties.customer_id
    where
        given.changes
        and given.valid_from > date '0001-01-01'
),

steps as (
    select * from lots
    union all by name
    select * from deficits
    union all by name
    select * from events
    union all by name
    select * from moves
    union all by name
    select * from replacements
    union all by name
    select * from joins
)

select
    account_no,
    pool,
    phase,
    kind,
    coalesce(flags, 0) as flags,
    business_date,
    coalesce(day_part, 0) as day_part,
    coalesce(points_h, 0) as points_h,
    usable_from,
    expires_on,
    event_id,
    lot_id,
    order_at,
    order_document,
    coalesce(rank, 0) as rank,
    document_id,
    line_no,
    rule_id,
    event_type,
    posted_date,
    coalesce(said_h, 0) as said_h,
    occurred_at,
    related_event_id,
    version,
    coalesce(ceiling, 0) as ceiling,
    coalesce(source, -1) as source,
    coalesce(partner, -1) as partner
from steps

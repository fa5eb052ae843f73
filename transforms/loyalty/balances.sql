-- What each card holds as of the night.
-- grain: card_id, program_id, reward_point_id
-- why: stores and analysts must see the same figure; it is derived from the ledger, never edited.
with

bases as (
    select
        card_id,
        max(seq) as seq
    from loyalty.lot_states
    where lot_id is null
    group by card_id
),

totals as (
    select
        states.card_id,
        states.program_id,
        states.reward_point_id,
        states.issued,
        states.used,
        states.expired,
        states.written_off
    from loyalty.total_states as states
    inner join bases
        on states.card_id = bases.card_id
        and states.seq = bases.seq

    union all

    select
        entries.card_id,
        entries.program_id,
        entries.reward_point_id,
        case when entries.side = 'issued' then entries.points else 0 end as issued,
        case when entries.side = 'used' then -entries.points else 0 end as used,
        case when entries.side = 'expired' then -entries.points else 0 end as expired,
        case when entries.side = 'written_off' then entries.points else 0 end as written_off
    from loyalty.entries as entries
    left join bases
        on entries.card_id = bases.card_id
    where
        entries.seq > $checkpoint
        and entries.seq > coalesce(bases.seq, 0)
),

lots as (
    select
        card_id,
        program_id,
        reward_point_id,
        points - taken as remaining,
        usable_from,
        expires_on
    from loyalty.open_lots
),

posted as (
    select
        card_id,
        program_id,
        reward_point_id,
        sum(issued) as issued,
        sum(used) as used,
        sum(expired) as expired,
        sum(written_off) as written_off,
        sum(issued) + sum(written_off) - sum(used) - sum(expired) as balance
    from totals
    group by
        card_id,
        program_id,
        reward_point_id
),

held as (
    select
        card_id,
        program_id,
        reward_point_id,
        sum(remaining) as remaining,
        coalesce(sum(remaining) filter (where usable_from <= $business_date), 0) as usable,
        coalesce(sum(remaining) filter (where usable_from > $business_date), 0) as unvested,
        coalesce(
            sum(remaining) filter (
                where usable_from <= $business_date and expires_on between $business_date and $business_date + 30
            ),
            0
        ) as expiring_30d
    from lots
    group by
        card_id,
        program_id,
        reward_point_id
)

select
    posted.card_id,
    posted.program_id,
    posted.reward_point_id,
    $business_date as as_of,
    cast(posted.issued as decimal(18, 2)) as issued,
    cast(posted.used as decimal(18, 2)) as used,
    cast(posted.expired as decimal(18, 2)) as expired,
    cast(posted.written_off as decimal(18, 2)) as written_off,
    cast(posted.balance - coalesce(held.unvested, 0) as decimal(18, 2)) as available,
    cast(coalesce(held.unvested, 0) as decimal(18, 2)) as unvested,
    cast(coalesce(held.remaining, 0) - posted.balance as decimal(18, 2)) as deficit,
    cast(coalesce(held.expiring_30d, 0) as decimal(18, 2)) as expiring_30d
from posted
left join held
    on posted.card_id = held.card_id
    and posted.program_id = held.program_id
    and posted.reward_point_id = held.reward_point_id

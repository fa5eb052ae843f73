-- What each card holds as of the night.
-- grain: card_id, program_id, reward_point_id
-- why: stores and analysts must see the same figure; it is derived from the ledger, never edited.
with

entries as (
    select
        card_id,
        program_id,
        reward_point_id,
        side,
        points
    from loyalty.entries
),

lots as (
    select
        card_id,
        program_id,
        reward_point_id,
        remaining,
        usable_from,
        expires_on
    from loyalty.lots
    where remaining > 0
),

posted as (
    select
        card_id,
        program_id,
        reward_point_id,
        coalesce(sum(points) filter (where side = 'issued'), 0) as issued,
        -coalesce(sum(points) filter (where side = 'used'), 0) as used,
        -coalesce(sum(points) filter (where side = 'expired'), 0) as expired,
        coalesce(sum(points) filter (where side = 'written_off'), 0) as written_off,
        sum(points) as balance
    from entries
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

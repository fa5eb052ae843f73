-- Cards of which a replay finds other open lots or totals than the next night would have gone on from.
-- grain: card_id
-- why: states are derived, too; where they are wrong the ledger may still be right, until a later night goes on from them.
with

totals as (
    select
        card_id,
        program_id,
        reward_point_id,
        coalesce(sum(points) filter (where side = 'issued'), 0) as issued,
        -coalesce(sum(points) filter (where side = 'used'), 0) as used,
        -coalesce(sum(points) filter (where side = 'expired'), 0) as expired,
        coalesce(sum(points) filter (where side = 'written_off'), 0) as written_off
    from loyalty._folded_entries
    group by
        card_id,
        program_id,
        reward_point_id
),

parts as (
    select
        card_id,
        hash(lot_id, usable_from, expires_on, cast(remaining as decimal(18, 2))) as part
    from loyalty._folded_lots
    where remaining > 0

    union all

    select
        card_id,
        hash(
            program_id,
            reward_point_id,
            cast(issued as decimal(18, 2)),
            cast(used as decimal(18, 2)),
            cast(expired as decimal(18, 2)),
            cast(written_off as decimal(18, 2))
        ) as part
    from totals
    where
        issued <> 0
        or used <> 0
        or expired <> 0
        or written_off <> 0
),

found as (
    select
        card_id,
        sum(part) as digest
    from parts
    group by card_id
),

stated as (
    select
        stated.card_id,
        stated.digest
    from loyalty._stated as stated
    inner join loyalty._scope_cards as cards
        on stated.card_id = cards.card_id
)

select coalesce(found.card_id, stated.card_id) as card_id
from found
full outer join stated
    on found.card_id = stated.card_id
where found.digest is distinct from stated.digest

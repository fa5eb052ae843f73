-- Dataset card_balances of each database: what its cards will hold on the opening day.
-- grain: database, card_id, program_id, reward_point_id
-- why: the store is open tomorrow: what vests tomorrow is usable then, what expired tonight is gone; a deficit changes
-- only by postings, so it is tonight's.
with

request as (
    select
        opening_day,
        include_balances
    from distribution._request
),

balances as (
    select
        card_id,
        program_id,
        reward_point_id,
        deficit
    from loyalty.balances
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

held as (
    select
        lots.card_id,
        lots.program_id,
        lots.reward_point_id,
        coalesce(sum(lots.remaining) filter (where lots.usable_from <= request.opening_day), 0) as usable,
        coalesce(sum(lots.remaining) filter (where lots.usable_from > request.opening_day), 0) as unvested,
        coalesce(
            sum(lots.remaining) filter (
                where lots.usable_from <= request.opening_day
                and lots.expires_on between request.opening_day and request.opening_day + 30
            ),
            0
        ) as expiring_30d
    from lots
    inner join request
        on lots.expires_on is null
        or lots.expires_on >= request.opening_day
    group by
        lots.card_id,
        lots.program_id,
        lots.reward_point_id
)

select
    cards.database,
    balances.card_id,
    balances.program_id,
    balances.reward_point_id,
    cast(coalesce(held.usable, 0) - balances.deficit as decimal(18, 2)) as available,
    cast(coalesce(held.unvested, 0) as decimal(18, 2)) as unvested,
    cast(coalesce(held.expiring_30d, 0) as decimal(18, 2)) as expiring_30d
from distribution._cards as cards
inner join request
    on request.include_balances
inner join balances
    on cards.card_id = balances.card_id
    and cards.program_id = balances.program_id
left join held
    on balances.card_id = held.card_id
    and balances.program_id = held.program_id
    and balances.reward_point_id = held.reward_point_id

-- Each transfer with the cards that own the points that day, and why it is refused.
-- grain: transfer_id
-- why: points go to no card that could not use them; a card that was replaced is not blocked in this sense: its transfers
-- act on the new one.
with

owned as (
    select
        transfers.transfer_id,
        transfers.from_card_id,
        transfers.to_card_id,
        transfers.reward_point_id,
        transfers.points,
        transfers.business_date,
        transfers.is_new,
        transfers.posted_date,
        coalesce(givers.owner_card_id, transfers.from_card_id) as giving_card_id,
        coalesce(takers.owner_card_id, transfers.to_card_id) as taking_card_id
    from loyalty._transfers as transfers
    left join loyalty._replaced as givers
        on transfers.from_card_id = givers.card_id
        and transfers.business_date between givers.owned_from and givers.owned_to
    left join loyalty._replaced as takers
        on transfers.to_card_id = takers.card_id
        and transfers.business_date between takers.owned_from and takers.owned_to
)

select
    owned.transfer_id,
    owned.from_card_id,
    owned.to_card_id,
    owned.reward_point_id,
    owned.points,
    owned.business_date,
    owned.is_new,
    owned.posted_date,
    owned.giving_card_id,
    owned.taking_card_id,
    calendar.version,
    case
        when givers.card_id is null or takers.card_id is null then 'unknown_card'
        when takers.card_type = 'blocked' and releases.reason is null then 'blocked_card'
        when reward_points.reward_point_id is null then 'unknown_reward_point'
    end as reason,
    case
        when givers.card_id is null then owned.from_card_id
        when takers.card_id is null or takers.card_type = 'blocked' then owned.to_card_id
        else owned.from_card_id
    end as refused_card_id
from owned
inner join programme.calendar as calendar
    on owned.business_date = calendar.business_date
left join loyalty._cards as givers
    on owned.giving_card_id = givers.card_id
    and owned.business_date between givers.valid_from and givers.valid_to
left join loyalty._cards as takers
    on owned.taking_card_id = takers.card_id
    and owned.business_date between takers.valid_from and takers.valid_to
left join loyalty._releases as releases
    on owned.transfer_id = releases.document_id
    and owned.to_card_id = releases.card_id
    and releases.reason = 'blocked_card'
left join programme.reward_points as reward_points
    on calendar.version = reward_points.version
    and owned.reward_point_id = reward_points.reward_point_id

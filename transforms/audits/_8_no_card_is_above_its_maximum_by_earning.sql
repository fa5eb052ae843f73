-- 8. No card is above its maximum by earning: on a day that earns, what it holds at the end is no more than the maximum and
-- what else it was given that day.
with

maxima as (
    select
        version,
        reward_point_id,
        maximum_h * 0.01 as maximum
    from programme.reward_points
    where maximum_h is not null
),

days as (
    select
        entries.card_id,
        entries.program_id,
        entries.reward_point_id,
        entries.entry_date,
        sum(entries.points) as points,
        sum(entries.points) filter (where coalesce(entries.corrected_type, entries.entry_type) = 'earn') as earned,
        sum(entries.points) filter (
            where
                entries.points > 0
                and coalesce(entries.corrected_type, entries.entry_type) not in ('earn', 'redeem', 'expire')
        ) as given
    from loyalty.entries as entries
    where entries.reward_point_id in (select reward_point_id from maxima)
    group by
        entries.card_id,
        entries.program_id,
        entries.reward_point_id,
        entries.entry_date
),

balances as (
    select
        card_id,
        program_id,
        reward_point_id,
        entry_date,
        coalesce(earned, 0) as earned,
        coalesce(given, 0) as given,
        sum(points) over (
            partition by card_id, program_id, reward_point_id
            order by entry_date
            rows between unbounded preceding and current row
        ) as balance
    from days
)

select
    balances.card_id,
    balances.program_id,
    balances.reward_point_id,
    balances.entry_date,
    balances.earned,
    balances.balance,
    maxima.maximum
from balances
inner join programme.calendar as calendar
    on balances.entry_date = calendar.business_date
inner join maxima
    on calendar.version = maxima.version
    and balances.reward_point_id = maxima.reward_point_id
where
    balances.earned > 0
    and balances.balance > maxima.maximum + balances.given

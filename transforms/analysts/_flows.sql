-- Customers by segment on two dates, by the page's filters.
-- grain: definition, from_segment, to_segment, channel, country, tier
-- why: counted once for all filters; of other dates than those the page opens with when they are asked for.
with

dates as (
    select
        definition,
        as_of,
        before
    from analysts._opening
),

scores as (
    select
        definition,
        as_of,
        customer_id,
        monetary_total,
        segment
    from rfm.scores
),

profiles as (
    select
        customer_id,
        channel,
        country,
        tier
    from analysts._profiles
),

earlier as (
    select
        scores.definition,
        scores.customer_id,
        scores.segment
    from scores
    inner join dates
        on scores.definition = dates.definition
        and scores.as_of = dates.before
),

later as (
    select
        scores.definition,
        scores.customer_id,
        scores.segment,
        scores.monetary_total
    from scores
    inner join dates
        on scores.definition = dates.definition
        and scores.as_of = dates.as_of
),

both_dates as (
    select
        coalesce(later.definition, earlier.definition) as definition,
        coalesce(later.customer_id, earlier.customer_id) as customer_id,
        coalesce(earlier.segment, '') as from_segment,
        coalesce(later.segment, '') as to_segment,
        coalesce(later.monetary_total, 0) as revenue
    from earlier
    full outer join later
        on earlier.definition = later.definition
        and earlier.customer_id = later.customer_id
)

select
    both_dates.definition,
    both_dates.from_segment,
    both_dates.to_segment,
    profiles.channel,
    profiles.country,
    profiles.tier,
    count(*) as customers,
    sum(both_dates.revenue) as revenue
from both_dates
left join profiles
    on both_dates.customer_id = profiles.customer_id
group by all

-- The customers with the scores they have so far, and the group each measure of the level at work is scored in.
-- grain: run, customer_id
-- why: a group is empty (null) where the measure is not of this level. rfm._scored holds what the levels before made.
with

scored as (
    select
        run,
        customer_id,
        last_purchase_on,
        recency,
        frequency,
        monetary_total,
        monetary_average,
        monetary,
        purchases,
        without_rate,
        r,
        f,
        m
    from rfm._scored
),

levels as (
    select
        run,
        recency,
        frequency,
        monetary
    from rfm._levels
),

at_work as (
    select coalesce(max(level), 0) + 1 as level
    from rfm._bounds
)

select
    scored.run,
    scored.customer_id,
    scored.last_purchase_on,
    scored.recency,
    scored.frequency,
    scored.monetary_total,
    scored.monetary_average,
    scored.monetary,
    scored.purchases,
    scored.without_rate,
    scored.r,
    scored.f,
    scored.m,
    case
        when levels.recency = at_work.level then
            case when levels.frequency < levels.recency then 10 * scored.f else 0 end
            + case when levels.monetary < levels.recency then scored.m else 0 end
    end as recency_above,
    case
        when levels.frequency = at_work.level then
            case when levels.recency < levels.frequency then 100 * scored.r else 0 end
            + case when levels.monetary < levels.frequency then scored.m else 0 end
    end as frequency_above,
    case
        when levels.monetary = at_work.level then
            case when levels.recency < levels.monetary then 100 * scored.r else 0 end
            + case when levels.frequency < levels.monetary then 10 * scored.f else 0 end
    end as monetary_above
from scored
inner join levels
    on scored.run = levels.run
cross join at_work

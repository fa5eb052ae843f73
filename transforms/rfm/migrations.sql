-- Who went from which segment to which since the date before, and how much of each move comes from what.
-- grain: definition, as_of, from_segment, to_segment
-- why: a customer can change segment by doing nothing, because the others moved the thresholds. The four parts are
-- counted in customers and add up to them exactly: each is rounded as the difference of rounded running sums.
-- A segment is empty text where the customer was not scored on that date; stays are listed without parts.
with

pairs as (
    select
        run,
        side,
        definition,
        as_of
    from rfm._pairs
),

scores as (
    select
        run,
        side,
        customer_id,
        revenue,
        segment
    from rfm._pair_scores
),

moves as (
    select
        run,
        mover,
        from_segment,
        to_segment
    from rfm._moves
),

outcomes as (
    select
        run,
        mover,
        combination,
        arrived
    from rfm._outcomes
),

combinations as (
    select
        combination,
        recency_twelfths,
        frequency_twelfths,
        money_twelfths,
        thresholds_twelfths
    from rfm._combinations
),

earlier as (
    select
        run,
        customer_id,
        revenue,
        segment
    from scores
    where side = 'old'
),

later as (
    select
        run,
        customer_id,
        revenue,
        segment
    from scores
    where side = 'new'
),

flows as (
    select
        coalesce(later.run, earlier.run) as run,
        coalesce(earlier.segment, '') as from_segment,
        coalesce(later.segment, '') as to_segment,
        count(*) as customers,
        sum(coalesce(later.revenue, 0)) as revenue,
        sum(coalesce(earlier.revenue, 0)) as revenue_before
    from earlier
    full outer join later
        on earlier.run = later.run
        and earlier.customer_id = later.customer_id
    group by
        coalesce(later.run, earlier.run),
        coalesce(earlier.segment, ''),
        coalesce(later.segment, '')
),

parts as (
    select
        moves.run,
        moves.from_segment,
        moves.to_segment,
        cast(sum(outcomes.arrived * combinations.recency_twelfths) as bigint) as recency,
        cast(sum(outcomes.arrived * combinations.frequency_twelfths) as bigint) as frequency,
        cast(sum(outcomes.arrived * combinations.money_twelfths) as bigint) as money,
        cast(sum(outcomes.arrived * combinations.thresholds_twelfths) as bigint) as thresholds
    from moves
    inner join outcomes
        on moves.run = outcomes.run
        and moves.mover = outcomes.mover
    inner join combinations
        on outcomes.combination = combinations.combination
    group by
        moves.run,
        moves.from_segment,
        moves.to_segment
),

-- In ten-thousandths of a customer.
running as (
    select
        run,
        from_segment,
        to_segment,
        10000 * recency // 12 as up_to_recency,
        10000 * (recency + frequency) // 12 as up_to_frequency,
        10000 * (recency + frequency + money) // 12 as up_to_money,
        10000 * (recency + frequency + money + thresholds) // 12 as up_to_thresholds
    from parts
)

select
    now.definition,
    now.as_of,
    flows.from_segment,
    flows.to_segment,
    before.as_of as previous_as_of,
    flows.customers,
    flows.revenue,
    flows.revenue_before,
    cast(running.up_to_recency as decimal(18, 0)) * 0.0001 as own_recency,
    cast(running.up_to_frequency - running.up_to_recency as decimal(18, 0)) * 0.0001 as own_frequency,
    cast(running.up_to_money - running.up_to_frequency as decimal(18, 0)) * 0.0001 as own_money,
    cast(running.up_to_thresholds - running.up_to_money as decimal(18, 0)) * 0.0001 as moving_thresholds
from flows
inner join pairs as now
    on flows.run = now.run
    and now.side = 'new'
inner join pairs as before
    on flows.run = before.run
    and before.side = 'old'
left join running
    on flows.run = running.run
    and flows.from_segment = running.from_segment
    and flows.to_segment = running.to_segment

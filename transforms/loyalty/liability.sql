-- The roll-forward of points by month and earning cohort, in points and in money.
-- grain: program_id, reward_point_id, month, cohort
-- why: what is owed to members, by when it was promised. A month is that of posting, so a closed one stays as it was; a cohort
-- is the month in which the lot was earned. Each posting is what it did to lots, in their cohorts; the rest of it made or
-- covered a deficit and stands in the line without a cohort, whose closing is what members owe. So every month's movements
-- over all cohorts are the entries posted in it, to the cent. What changes an earlier posting is corrected, whatever it was.
-- Points that cannot be redeemed owe nobody anything: they have no value.
with

entries as (
    select
        program_id,
        reward_point_id,
        case
            when corrected_entry_id is not null then corrected_entry_id
            when ends_with(entry_id, '~' || seq) then left(entry_id, length(entry_id) - length('~' || seq))
            else entry_id
        end as origin_id,
        coalesce(corrected_type, entry_type) as entry_type,
        seq,
        posted_date,
        points
    from loyalty.entries
),

origins as (
    select
        origin_id,
        min(seq) as seq,
        min_by(entry_type, (seq, entry_type)) as entry_type
    from entries
    group by origin_id
),

lots as (
    select
        lot_id,
        max_by(program_id, (seq, points, earned_on)) as program_id,
        max_by(reward_point_id, (seq, points, earned_on)) as reward_point_id,
        max_by(earned_on, (seq, points, earned_on)) as earned_on
    from loyalty.lot_postings
    group by lot_id
),

effects as (
    select
        program_id,
        reward_point_id,
        entry_id as origin_id,
        seq,
        posted_date,
        earned_on,
        points
    from loyalty.lot_postings

    union all

    -- A lot may be of another kind since: what a debit took is of the kind of its own entry.
    select
        coalesce(debits.program_id, lots.program_id) as program_id,
        coalesce(debits.reward_point_id, lots.reward_point_id) as reward_point_id,
        allocations.debit_entry_id as origin_id,
        allocations.seq,
        allocations.posted_date,
        lots.earned_on,
        -allocations.points as points
    from loyalty.allocations as allocations
    inner join lots
        on allocations.lot_id = lots.lot_id
    left join loyalty.entries as debits
        on allocations.debit_entry_id = debits.entry_id
),

movements as (
    select
        program_id,
        reward_point_id,
        origin_id,
        seq,
        posted_date,
        cast(date_trunc('month', earned_on) as date) as cohort,
        points
    from effects

    union all

    select
        program_id,
        reward_point_id,
        origin_id,
        seq,
        posted_date,
        cast(null as date) as cohort,
        points
    from entries

    union all

    select
        program_id,
        reward_point_id,
        origin_id,
        seq,
        posted_date,
        cast(null as date) as cohort,
        -points as points
    from effects
),

classed as (
    select
        movements.program_id,
        movements.reward_point_id,
        movements.cohort,
        cast(date_trunc('month', movements.posted_date) as date) as month,
        case when movements.seq = origins.seq then origins.entry_type else 'correction' end as kind,
        movements.points
    from movements
    left join origins
        on movements.origin_id = origins.origin_id
),

moved as (
    select
        program_id,
        reward_point_id,
        cohort,
        month,
        sum(points) as points,
        coalesce(sum(points) filter (where kind = 'earn'), 0) as earned,
        coalesce(sum(points) filter (where kind = 'adjust'), 0) as adjusted,
        coalesce(sum(points) filter (where kind = 'return_earned'), 0) as returned,
        coalesce(sum(points) filter (where kind in ('transfer_in', 'transfer_out')), 0) as transferred,
        coalesce(sum(points) filter (where kind = 'redeem'), 0) as redeemed,
        coalesce(sum(points) filter (where kind = 'refund'), 0) as refunded,
        coalesce(sum(points) filter (where kind = 'expire'), 0) as expired,
        coalesce(sum(points) filter (where kind = 'write_off'), 0) as written_off,
        coalesce(sum(points) filter (where kind = 'correction'), 0) as corrected
    from classed
    group by
        program_id,
        reward_point_id,
        cohort,
        month
),

cohorts as (
    select
        program_id,
        reward_point_id,
        cohort,
        min(month) as first_month
    from moved
    group by
        program_id,
        reward_point_id,
        cohort
),

listed as (
    select
        program_id,
        reward_point_id,
        cohort,
        unnest(generate_series(first_month, date_trunc('month', $business_date), interval (1) month)) as month
    from cohorts
),

spread as (
    select
        listed.program_id,
        listed.reward_point_id,
        listed.cohort,
        cast(listed.month as date) as month,
        coalesce(moved.points, 0) as points,
        coalesce(moved.earned, 0) as earned,
        coalesce(moved.adjusted, 0) as adjusted,
        coalesce(moved.returned, 0) as returned,
        coalesce(moved.transferred, 0) as transferred,
        coalesce(moved.redeemed, 0) as redeemed,
        coalesce(moved.refunded, 0) as refunded,
        coalesce(moved.expired, 0) as expired,
        coalesce(moved.written_off, 0) as written_off,
        coalesce(moved.corrected, 0) as corrected
    from listed
    left join moved
        on listed.program_id = moved.program_id
        and listed.reward_point_id = moved.reward_point_id
        and listed.cohort is not distinct from moved.cohort
        and cast(listed.month as date) = moved.month
),

rolled as (
    select
        program_id,
        reward_point_id,
        cohort,
        month,
        earned,
        adjusted,
        returned,
        transferred,
        redeemed,
        refunded,
        expired,
        written_off,
        corrected,
        points,
        sum(points) over (
            partition by program_id, reward_point_id, cohort
            order by month
            rows between unbounded preceding and current row
        ) as closing
    from spread
),

worth as (
    select
        points.reward_point_id,
        points.value
    from programme.reward_points as points
    inner join programme.calendar as calendar
        on points.version = calendar.version
    where
        calendar.business_date = $business_date
        and points.redeemable
)

select
    rolled.program_id,
    rolled.reward_point_id,
    rolled.month,
    rolled.cohort,
    cast(rolled.closing - rolled.points as decimal(18, 2)) as opening,
    cast(rolled.earned as decimal(18, 2)) as earned,
    cast(rolled.adjusted as decimal(18, 2)) as adjusted,
    cast(rolled.returned as decimal(18, 2)) as returned,
    cast(rolled.transferred as decimal(18, 2)) as transferred,
    cast(rolled.redeemed as decimal(18, 2)) as redeemed,
    cast(rolled.refunded as decimal(18, 2)) as refunded,
    cast(rolled.expired as decimal(18, 2)) as expired,
    cast(rolled.written_off as decimal(18, 2)) as written_off,
    cast(rolled.corrected as decimal(18, 2)) as corrected,
    cast(rolled.closing as decimal(18, 2)) as closing,
    worth.value as value_per_point,
    cast(round(cast(rolled.closing as decimal(38, 2)) * worth.value, 2) as decimal(18, 2)) as closing_value
from rolled
left join worth
    on rolled.reward_point_id = worth.reward_point_id
where
    rolled.closing <> 0
    or rolled.points <> 0
    or rolled.earned <> 0
    or rolled.adjusted <> 0
    or rolled.returned <> 0
    or rolled.transferred <> 0
    or rolled.redeemed <> 0
    or rolled.refunded <> 0
    or rolled.expired <> 0
    or rolled.written_off <> 0
    or rolled.corrected <> 0

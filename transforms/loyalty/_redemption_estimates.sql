-- What of each earning cohort will be redeemed in the end, as estimated tonight and as it would have been a year ago.
-- grain: program_id, reward_point_id, cohort, as_of
-- why: IFRS 15 B46: no breakage without evidence. Evidence are older cohorts of points that live at least as long, at an age at
-- which this cohort's life is over, once they have lived through it; what they had redeemed by then of what they earned is the
-- share. A cohort that has already redeemed more than that share goes on as they did from its age. Without evidence the
-- programme's own share counts (liability.ultimate_redemption), else all that is held will be redeemed. The range is
-- the least and the most that a single older cohort says, of what it redeemed in all and of how it went on from this age.
-- A year ago is the end of the month twelve before the newest that is over; only what was posted by then counts.
with

dates as (
    select
        $business_date as as_of,
        cast(date_trunc('month', $business_date) as date) as month

    union all

    select
        cast(date_trunc('month', $business_date + 1) - interval (1) year as date) - 1 as as_of,
        cast(date_trunc('month', $business_date + 1) - interval (13) month as date) as month
),

cohorts as (
    select
        liability.program_id,
        liability.reward_point_id,
        liability.cohort,
        dates.as_of,
        (year(dates.as_of + 1) - year(liability.cohort)) * 12 + month(dates.as_of + 1) - month(liability.cohort) - 1
            as newest,
        cast(
            sum(earned + adjusted + returned + transferred + written_off + corrected) * 100 as hugeint
        ) as earned_h,
        cast(-sum(redeemed + refunded) * 100 as hugeint) as redeemed_h,
        cast(-sum(expired) * 100 as hugeint) as expired_h
    from loyalty.liability as liability
    inner join dates
        on dates.month >= liability.month
    where liability.cohort is not null
    group by
        liability.program_id,
        liability.reward_point_id,
        liability.cohort,
        dates.as_of
),

points as (
    select
        points.reward_point_id,
        parameters.ultimate_redemption
    from programme.reward_points as points
    inner join programme.calendar as calendar
        on points.version = calendar.version
    inner join programme.parameters as parameters
        on points.version = parameters.version
    where
        calendar.business_date = $business_date
        and points.redeemable
),

aged as (
    select
        cohorts.program_id,
        cohorts.reward_point_id,
        cohorts.cohort,
        cohorts.as_of,
        cohorts.newest,
        cohorts.earned_h,
        cohorts.redeemed_h,
        cohorts.expired_h,
        cohorts.earned_h - cohorts.redeemed_h - cohorts.expired_h as outstanding_h,
        lives.months_of_life,
        points.ultimate_redemption,
        points.reward_point_id is not null as redeemable
    from cohorts
    left join loyalty._cohort_lives as lives
        on cohorts.program_id = lives.program_id
        and cohorts.reward_point_id = lives.reward_point_id
        and cohorts.cohort = lives.cohort
    left join points
        on cohorts.reward_point_id = points.reward_point_id
),

lessons as (
    select
        aged.program_id,
        aged.reward_point_id,
        aged.cohort,
        aged.as_of,
        older.earned_h,
        cast(ends.redeemed * 100 as hugeint) as end_h,
        cast(coalesce(begun.redeemed, 0) * 100 as hugeint) as begun_h,
        (2 * aged.earned_h * cast(ends.redeemed * 100 as hugeint) + older.earned_h) // (2 * older.earned_h) as in_all_h,
        case
            when older.earned_h * 0.01 > coalesce(begun.redeemed, 0)
                then aged.redeemed_h + (
                    2 * greatest(aged.outstanding_h, 0) * cast((ends.redeemed - coalesce(begun.redeemed, 0)) * 100 as hugeint)
                    + older.earned_h - cast(coalesce(begun.redeemed, 0) * 100 as hugeint)
                ) // (2 * (older.earned_h - cast(coalesce(begun.redeemed, 0) * 100 as hugeint)))
        end as gone_on_h
    from aged
    inner join aged as older
        on aged.program_id = older.program_id
        and aged.reward_point_id = older.reward_point_id
        and aged.as_of = older.as_of
        and aged.cohort > older.cohort
        and older.months_of_life >= aged.months_of_life
        and older.newest >= aged.months_of_life
    inner join loyalty.redemption_curves as ends
        on older.program_id = ends.program_id
        and older.reward_point_id = ends.reward_point_id
        and older.cohort = ends.cohort
        and aged.months_of_life = ends.age
    left join loyalty.redemption_curves as begun
        on older.program_id = begun.program_id
        and older.reward_point_id = begun.reward_point_id
        and older.cohort = begun.cohort
        and aged.newest = begun.age
    where
        older.earned_h > 0
        and aged.newest < aged.months_of_life
),

evidence as (
    select
        program_id,
        reward_point_id,
        cohort,
        as_of,
        count(*) as cohorts,
        cast(sum(earned_h) as hugeint) as earned_h,
        cast(sum(end_h) as hugeint) as end_h,
        cast(sum(begun_h) as hugeint) as begun_h,
        least(min(in_all_h), min(gone_on_h)) as low_h,
        greatest(max(in_all_h), max(gone_on_h)) as high_h
    from lessons
    group by
        program_id,
        reward_point_id,
        cohort,
        as_of
),

judged as (
    select
        aged.program_id,
        aged.reward_point_id,
        aged.cohort,
        aged.as_of,
        aged.newest,
        aged.months_of_life,
        aged.earned_h,
        aged.redeemed_h,
        aged.expired_h,
        aged.outstanding_h,
        aged.ultimate_redemption,
        case when aged.redeemable then coalesce(evidence.cohorts, 0) end as cohorts,
        evidence.low_h,
        evidence.high_h,
        (2 * aged.earned_h * evidence.end_h + evidence.earned_h) // (2 * evidence.earned_h) as share_h,
        aged.redeemed_h + case
            when evidence.earned_h > evidence.begun_h
                then (
                    2 * greatest(aged.outstanding_h, 0) * (evidence.end_h - evidence.begun_h)
                    + evidence.earned_h - evidence.begun_h
                ) // (2 * (evidence.earned_h - evidence.begun_h))
            else greatest(aged.outstanding_h, 0)
        end as gone_on_h,
        aged.redeemed_h + greatest(aged.outstanding_h, 0) as all_h,
        case
            when not aged.redeemable then null
            when aged.outstanding_h <= 0 or aged.newest >= aged.months_of_life then 'ended'
            when evidence.cohorts is null and aged.ultimate_redemption is not null then 'prior'
            when evidence.cohorts is null then 'no_evidence'
            when share_h > aged.redeemed_h then 'share_of_older'
            else 'pace_of_older'
        end as method
    from aged
    left join evidence
        on aged.program_id = evidence.program_id
        and aged.reward_point_id = evidence.reward_point_id
        and aged.cohort = evidence.cohort
        and aged.as_of = evidence.as_of
),

estimated as (
    select
        program_id,
        reward_point_id,
        cohort,
        as_of,
        newest,
        months_of_life,
        cohorts,
        method,
        earned_h,
        redeemed_h,
        expired_h,
        outstanding_h,
        all_h,
        case method
            when 'ended' then redeemed_h
            when 'no_evidence' then all_h
            when 'prior' then least(greatest(cast(round(earned_h * ultimate_redemption) as hugeint), redeemed_h), all_h)
            when 'share_of_older' then least(share_h, all_h)
            when 'pace_of_older' then least(gone_on_h, all_h)
        end as ultimate_h,
        case
            when method = 'ended' then redeemed_h
            when method in ('no_evidence', 'prior') then redeemed_h
            when method is not null then least(greatest(low_h, redeemed_h), all_h)
        end as low_h,
        case
            when method = 'ended' then redeemed_h
            when method in ('no_evidence', 'prior') then all_h
            when method is not null then least(greatest(high_h, redeemed_h), all_h)
        end as high_h
    from judged
)

select
    program_id,
    reward_point_id,
    cohort,
    as_of,
    method,
    cohorts as older_cohorts,
    cast(greatest(newest, 0) as integer) as months_seen,
    months_of_life,
    cast(cast(earned_h as decimal(30, 0)) * 0.01 as decimal(18, 2)) as earned,
    cast(cast(redeemed_h as decimal(30, 0)) * 0.01 as decimal(18, 2)) as redeemed,
    cast(cast(expired_h as decimal(30, 0)) * 0.01 as decimal(18, 2)) as expired,
    cast(cast(outstanding_h as decimal(30, 0)) * 0.01 as decimal(18, 2)) as outstanding,
    cast(cast(ultimate_h as decimal(30, 0)) * 0.01 as decimal(18, 2)) as ultimate,
    cast(cast(low_h as decimal(30, 0)) * 0.01 as decimal(18, 2)) as ultimate_low,
    cast(cast(high_h as decimal(30, 0)) * 0.01 as decimal(18, 2)) as ultimate_high
from estimated

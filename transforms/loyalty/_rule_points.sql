-- What each rule pays for a document, rounded once, in units of the reward point (whole points, or cents).
-- grain: application_no, direction
-- why: exact fractions of whole numbers up to the one rounding (spec 2-loyalty section 3, steps 4 to 7): the activity is
-- numerator / denominator in units of the rule's per, and below one of them the rule pays nothing. Units empty: they come
-- to a million million points or more, which no receipt earns.
with

activities as (
    select
        application_no,
        direction,
        cast(sum(activity_milli) as hugeint) as activity_milli,
        cast(sum(net_milli) as hugeint) as net_milli
    from loyalty._matching_lines
    group by
        application_no,
        direction
),

applied as (
    select
        activities.application_no,
        activities.direction,
        activities.activity_milli,
        activities.net_milli,
        rules.activity,
        rules.points_h,
        rules.scaling,
        rules.reward_point_type,
        rules.quantity_rounding,
        cast(rules.unit_h as hugeint) as unit_h,
        cast(rules.per_milli as hugeint) as per_milli,
        case when applications.rate = 1 then 1 else applications.rate_e8 end as whole_rate,
        case when applications.rate = 1 then 1 else 100000000 end as rate_unit,
        case
            when applications.earns_on_rest and activities.direction = 1
                then applications.sale_cents * applications.worth_unit
        end as whole,
        applications.loyalty_tender_worth
    from activities
    inner join loyalty._applicable_rules as applications
        on activities.application_no = applications.application_no
    inner join loyalty._rules as rules
        on applications.rule_no = rules.rule_no
    where applications.rate is not null
),

-- The share that points did not pay; of a receipt beyond 36 digits in fewer places.
shares as (
    select
        *,
        case
            when cast(activity_milli as double) * whole_rate * whole * points_h > 1e36
                then cast(ceil(cast(activity_milli as double) * whole_rate * whole * points_h / 1e36) as hugeint)
            else 1
        end as coarse
    from applied
),

fractions as (
    select
        application_no,
        direction,
        activity_milli,
        net_milli,
        points_h,
        scaling,
        reward_point_type,
        quantity_rounding,
        unit_h,
        case
            when activity = 'transaction_count' then case when net_milli > 0 then cast(1000 as hugeint) else 0 end
            when whole is null then activity_milli * whole_rate
            else activity_milli * whole_rate * (greatest(whole - loyalty_tender_worth, 0) // coarse)
        end as numerator,
        case
            when activity = 'transaction_count' then per_milli
            else per_milli * rate_unit * case when whole > 0 then greatest(whole // coarse, 1) else 1 end
        end as denominator
    from shares
),

scaled as (
    select
        application_no,
        direction,
        activity_milli,
        net_milli,
        reward_point_type,
        quantity_rounding,
        unit_h,
        case when scaling = 'whole_units' then numerator // denominator * points_h else numerator * points_h end
            as points_numerator,
        case when scaling = 'whole_units' then cast(1 as hugeint) else denominator end as points_denominator
    from fractions
    where numerator >= denominator
),

paid as (
    select
        application_no,
        direction,
        unit_h,
        activity_milli,
        net_milli,
        case
            when reward_point_type = 'quantity' and quantity_rounding = 'truncate'
                then points_numerator // (points_denominator * unit_h)
            else (2 * points_numerator + points_denominator * unit_h) // (2 * points_denominator * unit_h)
        end as units
    from scaled
)

select
    application_no,
    direction,
    unit_h,
    activity_milli,
    net_milli,
    case when units * unit_h < 100000000000000 then units end as units
from paid

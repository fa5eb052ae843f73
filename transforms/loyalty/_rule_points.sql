-- What each rule pays for a document, rounded once, in units of the reward point (whole points, or cents).
-- grain: application_no, direction
-- why: exact fractions of whole numbers up to the one rounding (spec 2-loyalty section 3, steps 4 to 7): the activity is
-- numerator / denominator in units of the rule's per, and below one of them the rule pays nothing.
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

paid as (
    select
        document_no,
        cast(sum(net_amount + tax_amount) * 100 as hugeint) as sale_cents
    from loyalty._lines
    where kind = 'sale'
    group by document_no
),

fractions as (
    select
        activities.application_no,
        activities.direction,
        activities.activity_milli,
        activities.net_milli,
        rules.points_h,
        rules.scaling,
        rules.reward_point_type,
        rules.quantity_rounding,
        cast(rules.unit_h as hugeint) as unit_h,
        case
            when rules.activity = 'transaction_count'
                then case when activities.net_milli > 0 then cast(1000 as hugeint) else 0 end
            when applications.rate = 1 and not applications.earns_on_rest then activities.activity_milli
            else
                activities.activity_milli
                * case when applications.rate = 1 then 1 else cast(applications.rate * 100000000 as hugeint) end
                * case
                    when applications.earns_on_rest and activities.direction = 1
                        then greatest(
                            coalesce(paid.sale_cents, 0) * applications.worth_unit - applications.loyalty_tender_worth, 0
                        )
                    else 1
                end
        end as numerator,
        case
            when rules.activity = 'transaction_count' or applications.rate = 1 and not applications.earns_on_rest
                then cast(rules.per_milli as hugeint)
            else
                cast(rules.per_milli as hugeint)
                * case when applications.rate = 1 then 1 else 100000000 end
                * case
                    when applications.earns_on_rest and activities.direction = 1 and paid.sale_cents > 0
                        then paid.sale_cents * applications.worth_unit
                    else 1
                end
        end as denominator
    from activities
    inner join loyalty._applicable_rules as applications
        on activities.application_no = applications.application_no
    inner join loyalty._rules as rules
        on applications.rule_no = rules.rule_no
    left join paid
        on applications.document_no = paid.document_no
        and applications.earns_on_rest
    where applications.rate is not null
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
)

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

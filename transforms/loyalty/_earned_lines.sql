-- What each line earned by each rule, in hundredths of a point; negative where a return is worked out anew.
-- grain: application_no, direction, line_no
-- why: the rounded points of a document are spread over its matching lines by largest remainder, ties to the lower line,
-- so that each line knows what it earned (spec 2-loyalty section 3, step 8).
with

weights as (
    select
        totals.application_no,
        totals.direction,
        totals.unit_h,
        totals.units,
        lines.line_no,
        case
            when rules.activity <> 'transaction_count' then lines.activity_milli
            else lines.net_milli
        end as weight,
        case
            when rules.activity <> 'transaction_count' then totals.activity_milli
            else totals.net_milli
        end as weights
    from loyalty._rule_points as totals
    inner join loyalty._matching_lines as lines
        on totals.application_no = lines.application_no
        and totals.direction = lines.direction
    inner join loyalty._applicable_rules as applications
        on totals.application_no = applications.application_no
    inner join loyalty._rules as rules
        on applications.rule_no = rules.rule_no
    where totals.units > 0
),

shares as (
    select
        application_no,
        direction,
        unit_h,
        units,
        line_no,
        weights,
        units * weight as product,
        case
            when weight >= 0 then units * weight // weights
            else -((weights - units * weight - 1) // weights)
        end as share
    from weights
),

-- Narrow numbers: a window sorts all that it carries.
remainders as (
    select
        application_no,
        direction,
        unit_h,
        cast(units as bigint) as units,
        line_no,
        cast(share as bigint) as share,
        cast(product - share * weights as bigint) as remainder
    from shares
),

ranked as (
    select
        application_no,
        direction,
        unit_h,
        line_no,
        share,
        units - sum(share) over documents as left_over,
        case
            when remainder = 0 then 2147483647
            else row_number() over (documents order by remainder desc, line_no)
        end as place
    from remainders
    window documents as (partition by application_no * direction)
)

select
    application_no,
    direction,
    line_no,
    cast(direction * (share + case when place <= left_over then 1 else 0 end) * unit_h as bigint) as points_h
from ranked
where share + case when place <= left_over then 1 else 0 end <> 0

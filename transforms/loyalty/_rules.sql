-- Every earning rule of every version with all that its evaluation needs.
-- grain: rule_no, which numbers rules for tonight
with

rules as (
    select *
    from programme.earning_rules
)

select
    row_number() over (order by rules.version, rules.rule_id) as rule_no,
    rules.version,
    rules.scheme_id,
    rules.program_id,
    rules.rule_id,
    rules.activity,
    rules.activity_type,
    rules.ignore_vesting,
    rules.per_milli,
    rules.points_h,
    rules.reward_point_id,
    rules.tier_id,
    rules.affiliation_id,
    rules.category_id,
    rules.product_id,
    rules.variant_id,
    rules.currency,
    rules.scaling,
    rules.valid_from,
    rules.valid_to,
    reward_points.type as reward_point_type,
    reward_points.unit_h,
    parameters.loyalty_tender,
    parameters.quantity_rounding,
    parameters.post_per_sales_line,
    parameters.tax_in_basis
from rules
inner join programme.reward_points as reward_points
    on rules.version = reward_points.version
    and rules.reward_point_id = reward_points.reward_point_id
inner join programme.parameters as parameters
    on rules.version = parameters.version

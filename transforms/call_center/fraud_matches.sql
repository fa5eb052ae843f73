-- What made orders suspicious: static values found in their addresses, each once, and rules that hold.
-- grain: order_id, checked_on, area, line_no, type, rule
with

static_hits as (
    select
        order_id,
        checked_on,
        area,
        line_no,
        type,
        rule,
        score
    from call_center._static_hits
),

rule_hits as (
    select
        order_id,
        checked_on,
        area,
        line_no,
        rule_id,
        score
    from call_center._rule_hits
)

select
    order_id,
    checked_on,
    area,
    line_no,
    type,
    rule,
    score
from static_hits

union all

select
    order_id,
    checked_on,
    area,
    line_no,
    'rule' as type,
    rule_id as rule,
    score
from rule_hits

-- Days on which somebody had tiers evaluated for everyone, or for one card, by the rules in force on that day.
-- grain: business_date, card_id (empty: everyone)
select
    cast(json_extract_string(content, '$.date') as date) as business_date,
    json_extract_string(content, '$.card_id') as card_id,
    max(seq) as seq
from ops.decisions
where
    kind = 'reevaluation'
    and recorded_on <= $business_date
    and cast(json_extract_string(content, '$.date') as date) <= $business_date
group by all

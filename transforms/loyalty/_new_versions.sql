-- Programme versions that loyalty has not judged by yet, in force by tonight.
-- grain: decision_id
-- why: one whose effective_from lies in the past judges facts again; any new one may give or end a tier for everyone.
with

versions as (
    select
        decision_id,
        cast(json_extract_string(content, '$.effective_from') as date) as effective_from,
        seq
    from ops.decisions
    where kind = 'programme_version'
)

select
    decision_id,
    effective_from
from versions
where
    effective_from <= $business_date
    and (seq > $since or effective_from > $since_date)

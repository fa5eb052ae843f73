-- Numbers for what later steps of the fold refer back to: redeems that refunds give back, sale lines that returns undo, and
-- what stands together in one transfer.
-- grain: account_id, source_key
with

sources as (
    select
        account_id,
        source_key
    from loyalty._moves
    where source_key is not null

    union

    select
        account_id,
        line_id || ':' || program_id || ':' || reward_point_id as source_key
    from loyalty._events
    where
        original_milli is not null
        and reward_point_id in (select reward_point_id from programme.reward_points where maximum_h is not null)
)

select
    account_id,
    source_key,
    row_number() over (order by account_id, source_key) - 1 as source
from sources

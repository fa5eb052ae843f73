-- The entries of tonight's accounts as the kernel has them, with their names.
-- grain: entry_id
with

folded as (
    select *
    from loyalty._folded_entries
),

pools as (
    select
        pool,
        card_id,
        program_id,
        reward_point_id
    from loyalty._pools
)

select
    folded.entry_id,
    pools.card_id,
    pools.program_id,
    pools.reward_point_id,
    case folded.kind when 1 then 'expire' when 2 then 'write_off' else folded.event_type end as entry_type,
    cast(folded.points_h * 0.01 as decimal(18, 2)) as points,
    folded.entry_date,
    case
        when greatest(folded.posted_date, folded.entry_date) > $published_date
            then greatest(folded.posted_date, folded.entry_date)
        else $business_date
    end as posted_date,
    case when folded.kind = 0 and folded.points_h > 0 then folded.usable_from end as usable_from,
    case when folded.kind = 0 and folded.points_h > 0 then folded.expires_on end as expires_on,
    folded.event_id,
    folded.document_id as transaction_id,
    nullif(folded.line_no, 2147483647) as line_no,
    folded.rule_id,
    case
        when folded.kind = 1 then 'expired'
        when folded.kind = 2 then 'written_off'
        when folded.event_type in ('redeem', 'refund', 'transfer_out') then 'used'
        when folded.event_type = 'adjust' and folded.points_h < 0 then 'used'
        else 'issued'
    end as side,
    folded.place
from folded
inner join pools
    on folded.pool = pools.pool

-- Audit of what channels did to customers.
-- grain: operation_id
-- why: a late operation changes what others changed, so all of a customer are worked out together; the newest counts.
with

versions as (
    select *
    from customers.operation_versions
),

newest as (
    select
        owner,
        max(seq) as seq
    from customers.operation_versions
    group by owner
)

select
    versions.operation_id,
    versions.channel_id,
    versions.account,
    versions.async_id,
    versions.operation,
    versions.mode,
    versions.operated_at,
    versions.status,
    versions.changes,
    versions.reason,
    versions.drop_id
from versions
inner join newest
    on versions.owner = newest.owner
    and versions.seq = newest.seq
qualify row_number() over (partition by versions.operation_id order by versions.seq desc, versions.owner) = 1

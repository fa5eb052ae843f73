-- Audit of what channels did to customers.
-- grain: operation_id
-- why: a late operation changes what others changed, so all of a customer are worked out together then; those since count.
with

versions as (
    select *
    from customers.operation_versions
),

newest as (
    select *
    from customers._newest
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
    on versions.owner = newest.account
    and versions.seq >= newest.whole_seq

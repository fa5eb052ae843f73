-- Every customer, as of any day.
-- grain: account, valid_from
-- why: of a customer's versions those count that customers._newest says.
with

versions as (
    select *
    from customers.customer_versions
),

newest as (
    select *
    from customers._newest
)

select
    versions.account,
    versions.valid_from,
    versions.valid_to,
    versions.async_id,
    versions.status,
    versions.created_at,
    versions.created_channel_id,
    versions.financial_dimensions,
    versions.customer_type,
    versions.first_name,
    versions.middle_name,
    versions.last_name,
    versions.organization_name,
    versions.title,
    versions.email,
    versions.phone,
    versions.receipt_option,
    versions.receipt_email,
    versions.currency,
    versions.language,
    versions.customer_group,
    versions.warehouse,
    versions.block_loyalty_enrollment,
    versions.on_hold,
    versions.allow_on_account,
    versions.installments,
    versions.notice_exempt
from versions
inner join newest
    on versions.account = newest.account
    and versions.seq >= newest.whole_seq
    and (versions.seq = newest.seq or versions.valid_to < date '9999-12-31')
where versions.status <> 'withdrawn'

-- Receipts of stores that were set aside, and whole drops that were; waiting: whether they still wait in quarantine.
-- grain: drop_id, transaction_id; a whole drop has no transaction_id
-- why: what was refused stands nowhere but in quarantine, as it came. Where it does not say its store or day, or a day that the
-- drop cannot have, those of the drop are meant.
with

set_aside as (
    select
        drop_id,
        record_key as transaction_id,
        bool_or(status = 'open') as waiting,
        regexp_replace(any_value(source), '\.released-[0-9a-f]+$', '') as source,
        any_value(business_date) as drop_date,
        any_value(case when dataset = 'transactions' and json_valid(raw) then raw end) as header
    from ops.quarantine
    where
        status in ('open', 'released', 'dismissed')
        and feed = 'pos'
        and (
            level = 'drop'
            or (level = 'transaction' and dataset in ('transactions', 'lines', 'tenders', 'declared_points'))
        )
    group by
        drop_id,
        record_key
),

-- What is set aside after landing stands there; of POSLog a refused receipt has its id alone, which holds the other three.
described as (
    select
        set_aside.*,
        coalesce(landed.store_id, json_extract_string(set_aside.header, '$.store_id')) as store_id,
        coalesce(
            landed.register_id,
            json_extract_string(set_aside.header, '$.register_id'),
            nullif(regexp_extract(set_aside.transaction_id, '^.+-([^-]+)-\d{4}-\d{2}-\d{2}-\d+$', 1), '')
        ) as register_id,
        coalesce(
            cast(landed.transaction_no as varchar),
            json_extract_string(set_aside.header, '$.transaction_no'),
            regexp_extract(set_aside.transaction_id, '^.+-\d{4}-\d{2}-\d{2}-(\d+)$', 1)
        ) as transaction_no,
        coalesce(
            cast(landed.business_date as varchar),
            json_extract_string(set_aside.header, '$.business_date'),
            regexp_extract(set_aside.transaction_id, '^.+-(\d{4}-\d{2}-\d{2})-\d+$', 1)
        ) as business_date
    from set_aside
    left join landed.transactions as landed
        on set_aside.transaction_id = landed.transaction_id
        and set_aside.drop_id = landed.drop_id
),

dated as (
    select
        *,
        case
            when regexp_full_match(business_date, '\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])')
                then cast(left(business_date, 8) || '01' as date) + cast(right(business_date, 2) as integer) - 1
        end as own_date
    from described
)

select
    drop_id,
    transaction_id,
    waiting,
    header,
    coalesce(store_id, source) as store_id,
    register_id,
    case when regexp_full_match(transaction_no, '\d{1,18}') then cast(transaction_no as bigint) end as transaction_no,
    case when own_date between drop_date - 366 and drop_date then own_date else drop_date end as business_date
from dated

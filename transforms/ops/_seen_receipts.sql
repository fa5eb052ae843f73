-- Every receipt that a store sent, of any status, also those that wait in quarantine.
-- grain: drop_id, transaction_id
-- why: a number is missing only when no document with it was ever seen.
select
    transaction_id,
    drop_id,
    store_id,
    register_id,
    transaction_no,
    business_date
from landed.transactions
where
    business_date is not null
    and drop_date <= $business_date

union all

select
    landed.transaction_id,
    landed.drop_id,
    landed.store_id,
    landed.register_id,
    landed.transaction_no,
    undated.business_date
from landed.transactions as landed
inner join sales._undated as undated
    on landed.transaction_id = undated.transaction_id
    and landed.drop_id = undated.drop_id

union all

-- What is set aside after landing is one of those.
select
    refused.transaction_id,
    refused.drop_id,
    refused.store_id,
    refused.register_id,
    refused.transaction_no,
    refused.business_date
from ops._quarantined_receipts as refused
left join landed.transactions as landed
    on refused.transaction_id = landed.transaction_id
    and refused.drop_id = landed.drop_id
where
    refused.transaction_no is not null
    and landed.transaction_id is null

-- What operations fill or clear in default customers.
-- grain: account, operation_no, column_name
select
    account,
    operation_no,
    counts_from,
    column_name,
    value
from customers._own_changes
where account in (select default_account from customers._defaults)

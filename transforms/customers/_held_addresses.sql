-- The addresses of those whom tonight only adds to, as they stand.
-- grain: account, address_id
select addresses.*
from customers.address_versions as addresses
inner join customers._continued as continued
    on addresses.account = continued.account
    and addresses.seq = continued.seq
where addresses.known_to = date '9999-12-31'

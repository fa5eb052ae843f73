-- Up to which change, and since which, a customer's versions count.
-- grain: account
-- why: a night writes what it made of a customer beside what was: of what still stands only the newest counts (seq), of
-- what has ended all since the customer was last worked out whole (whole_seq).
select
    account,
    max(seq) as seq,
    max(whole_seq) as whole_seq,
    max_by(status, seq) as status
from customers.customer_versions
group by account

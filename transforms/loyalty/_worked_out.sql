-- Documents whose exceptions are worked out anew tonight.
-- grain: document_id
select document_id
from loyalty._documents

union

select document_id
from loyalty._changed_documents

union

select adjustment_id as document_id
from loyalty._adjustments

union

select transfer_id as document_id
from loyalty._transfers

union

-- What a drop that came again no longer holds takes its exceptions along.
select transaction_id as document_id
from loyalty.exceptions
where
    exists (select 1 from ops.withdrawn where seq > $since)
    and transaction_id not in (select transaction_id from sales.transactions)
    and transaction_id not in (select activity_id from loyalty._activities)

-- Documents that no drop holds any more since one came again; their exceptions go with them.
-- grain: document_id
-- why: asked of all documents, before a night is cut into slices: in one of them the documents of the others are not known.
select distinct transaction_id as document_id
from loyalty.exceptions
where
    exists (select 1 from ops.withdrawn where seq > $since)
    and transaction_id not in (select transaction_id from sales.transactions)
    and transaction_id not in (select activity_id from loyalty._activities)

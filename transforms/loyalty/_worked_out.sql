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

select document_id
from loyalty._withdrawn_documents

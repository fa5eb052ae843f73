-- Copies of the touched receipts that the programme refuses because another one of the same print came before.
-- grain: document_id, drop_id
select
    doubles.transaction_id as document_id,
    doubles.drop_id,
    'double' as rule,
    doubles.first_id as expected,
    doubles.transaction_id as found
from ops._doubles as doubles
inner join ops._receipt_headers as receipts
    on doubles.transaction_id = receipts.transaction_id
    and doubles.drop_id = receipts.drop_id
inner join programme.refusing_rules as refusing
    on receipts.version = refusing.version
    and refusing.rule = 'double'

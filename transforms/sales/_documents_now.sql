-- The newest word on every document: which drop's copy holds, and the day it counts on.
-- grain: kind, document_id
with

documents as (
    select
        document_id,
        kind,
        counted,
        business_date,
        drop_id,
        posted_date,
        voided_by,
        seq
    from sales.documents
)

select
    document_id,
    kind,
    counted,
    business_date,
    drop_id,
    posted_date,
    voided_by
from documents
qualify row_number() over (partition by kind, document_id order by seq desc) = 1

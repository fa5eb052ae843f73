-- Documents whose counting copy changed since loyalty was last worked out, or that a late reference record concerns.
-- grain: document_id
with

changes as (
    select
        document_id,
        seq
    from sales.documents
),

brought as (
    select
        document_id,
        min(seq) > $since as first_seen
    from changes
    where document_id in (select document_id from changes where seq > $since)
    group by document_id
)

select
    document_id,
    first_seen
from brought

union all

select
    document_id,
    false as first_seen
from loyalty._redone_documents
where document_id not in (select document_id from brought)

-- Documents whose counting copy changed since loyalty was last worked out.
-- grain: document_id
with

changes as (
    select
        document_id,
        counted,
        business_date,
        posted_date,
        seq
    from sales.documents
)

select
    document_id,
    min(seq) > $since and not bool_or(seq <= $since) as first_seen
from changes
group by document_id
having max(seq) > $since

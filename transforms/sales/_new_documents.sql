-- What sales.documents gains tonight.
-- grain: document_id, seq
select
    document_id,
    $seq as seq,
    kind,
    counted,
    business_date,
    drop_id,
    posted_date,
    voided_by
from sales._holding
where not unchanged

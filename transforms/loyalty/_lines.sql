-- Lines of the documents that are worked out tonight.
-- grain: document_no, line_no
select
    documents.document_no,
    lines.line_no,
    lines.kind,
    lines.product_id,
    lines.variant_id,
    lines.category_id,
    lines.eligible_points,
    lines.quantity,
    lines.net_amount,
    coalesce(lines.tax_amount, 0) as tax_amount,
    lines.original_transaction_id,
    lines.original_line_no
from sales.lines as lines
inner join loyalty._documents as documents
    on lines.transaction_id = documents.document_id
    and lines.business_date = documents.business_date
    and documents.activity_type is null

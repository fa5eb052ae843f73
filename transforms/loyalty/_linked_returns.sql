-- Points that returned lines take back from the card that earned them, in hundredths of a point.
-- grain: document_id, line_no, program_id, reward_point_id
-- why: after returning q of Q in all, earned x q / Q is taken back, rounded half up to the type's unit, so that the parts
-- add up to the whole (spec 2-loyalty section 4).
with

returned as (
    select
        documents.document_id,
        lines.line_no,
        lines.original_transaction_id as original_document_id,
        lines.original_line_no,
        cast(-lines.quantity * 1000 as hugeint) as quantity_milli,
        cast(originals.quantity * 1000 as hugeint) as original_milli,
        sum(cast(-lines.quantity * 1000 as hugeint)) over (
            partition by lines.original_transaction_id, lines.original_line_no
            order by documents.business_date, documents.occurred_at nulls first, documents.document_id, lines.line_no
            rows between unbounded preceding and current row
        ) as returned_milli
    from loyalty._lines as lines
    inner join loyalty._documents as documents
        on lines.document_no = documents.document_no
    inner join loyalty._documents as original_documents
        on lines.original_transaction_id = original_documents.document_id
    inner join loyalty._lines as originals
        on original_documents.document_no = originals.document_no
        and lines.original_line_no = originals.line_no
    inner join programme.parameters as parameters
        on documents.version = parameters.version
    where
        lines.kind = 'return'
        and parameters.post_per_sales_line
),

taken as (
    select
        returned.document_id,
        returned.line_no,
        returned.original_document_id,
        returned.original_line_no,
        earnings.card_id,
        earnings.program_id,
        earnings.reward_point_id,
        earnings.points_h as earned_h,
        earnings.unit_h,
        returned.original_milli,
        least(greatest(returned.returned_milli, 0), returned.original_milli) as after_milli,
        least(greatest(returned.returned_milli - returned.quantity_milli, 0), returned.original_milli) as before_milli
    from returned
    inner join loyalty._line_earnings as earnings
        on returned.original_document_id = earnings.document_id
        and returned.original_line_no = earnings.line_no
    where returned.original_milli > 0
)

select
    document_id,
    line_no,
    original_document_id,
    original_line_no,
    card_id,
    program_id,
    reward_point_id,
    cast(
        sign(earned_h)
        * (
            (2 * abs(earned_h) * after_milli + original_milli * unit_h) // (2 * original_milli * unit_h) * unit_h
            - (2 * abs(earned_h) * before_milli + original_milli * unit_h) // (2 * original_milli * unit_h) * unit_h
        )
        as bigint
    ) as points_h,
    cast(before_milli as bigint) as before_milli,
    cast(after_milli as bigint) as after_milli,
    cast(original_milli as bigint) as original_milli,
    unit_h
from taken

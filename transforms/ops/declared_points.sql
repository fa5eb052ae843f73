-- Points that the documents of tills state for receipts that count.
-- grain: transaction_id, point_no
-- why: kept to be compared with ours (ops.receipt_checks, rule points); they never become ours.
select
    declared.transaction_id,
    declared.point_no,
    declared.line_no,
    receipts.channel_id as store_id,
    receipts.business_date,
    coalesce(declared.loyalty_card_id, receipts.loyalty_card_id) as loyalty_card_id,
    declared.program_id,
    declared.kind,
    declared.points,
    declared.element
from landed.declared_points as declared
inner join customers.receipts as receipts
    on declared.transaction_id = receipts.transaction_id
    and declared.drop_id = receipts.drop_id

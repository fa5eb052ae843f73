-- Points that tills state for counted receipts, beside ours.
-- grain: transaction_id, card_id, kind
-- why: a till states points that can be spent; of a kind of which it states none there is nothing to compare. A return takes
-- back what was awarded, a refund gives back what was redeemed. What was corrected counts as it stands now.
with

stated as (
    select
        receipts.transaction_id,
        coalesce(stated.loyalty_card_id, receipts.loyalty_card_id) as card_id,
        stated.kind,
        any_value(receipts.store_id) as store_id,
        any_value(receipts.business_date) as business_date,
        any_value(receipts.points_limit) as points_limit,
        sum(stated.points) as points
    from ops._receipt_headers as receipts
    inner join landed.declared_points as stated
        on receipts.transaction_id = stated.transaction_id
        and receipts.drop_id = stated.drop_id
    group by
        receipts.transaction_id,
        coalesce(stated.loyalty_card_id, receipts.loyalty_card_id),
        stated.kind
)

select
    stated.transaction_id,
    stated.card_id,
    stated.kind,
    stated.store_id,
    stated.business_date,
    stated.points_limit,
    stated.points as stated,
    coalesce(ours.points, 0) as points
from stated
left join ops._receipt_points as ours
    on stated.transaction_id = ours.transaction_id
    and stated.card_id is not distinct from ours.card_id
    and stated.kind = ours.kind

-- Points that the ledger holds for the checked receipts and that can be spent: awarded less taken back, redeemed less given back.
-- grain: transaction_id, card_id, kind
with

entries as (
    select
        entries.transaction_id,
        entries.card_id,
        receipts.version,
        entries.reward_point_id,
        entries.points,
        case
            when coalesce(entries.corrected_type, entries.entry_type) in ('earn', 'return_earned') then 'awarded'
            when coalesce(entries.corrected_type, entries.entry_type) in ('redeem', 'refund') then 'redeemed'
        end as kind
    from loyalty.entries as entries
    inner join ops._receipt_headers as receipts
        on entries.transaction_id = receipts.transaction_id
)

select
    entries.transaction_id,
    entries.card_id,
    entries.kind,
    sum(case when entries.kind = 'awarded' then entries.points else -entries.points end) as points
from entries
inner join programme.reward_points as reward_points
    on entries.version = reward_points.version
    and entries.reward_point_id = reward_points.reward_point_id
    and reward_points.redeemable
where entries.kind is not null
group by
    entries.transaction_id,
    entries.card_id,
    entries.kind

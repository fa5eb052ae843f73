-- Cards, and customers with their cards, of whom a head-office drop that came again since loyalty was last worked out no
-- longer says what it said.
-- grain: card_id
-- why: what is withdrawn stands in no drop any more, so taking the drop has noted whom it concerned.
with

withdrawn as (
    select
        named_by,
        name
    from ops.withdrawn
    where
        seq > $since
        and dataset in (
            'loyalty_cards', 'loyalty_adjustments', 'loyalty_transfers', 'other_activities', 'card_tier_overrides'
        )
)

select name as card_id
from withdrawn
where named_by <> 'customer_id'

union

select cards.card_id
from withdrawn
left join customers.account_map as account_map
    on withdrawn.name = account_map.async_id
inner join loyalty._cards as cards
    on coalesce(account_map.account, withdrawn.name) = cards.customer_id
where withdrawn.named_by = 'customer_id'

-- Gift cards by their newest record.
-- grain: gift_card_id
select
    gift_card_id,
    currency,
    opened_on,
    amount,
    voided_on
from landed.gift_cards
where drop_date <= $business_date
qualify row_number() over (partition by gift_card_id order by drop_date desc, drop_id desc) = 1

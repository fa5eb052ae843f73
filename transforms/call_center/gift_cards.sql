-- Every movement of each gift card with the balance after it, and what is wrong with it.
-- grain: gift_card_id, movement_no
-- why: an amount in another currency than the card's is shown and not counted; 50 − 30 − 30 is −10, flagged.
with

movements as (
    select *
    from call_center._gift_card_movements
),

cards as (
    select *
    from call_center._gift_card_records
),

counted as (
    select
        movements.*,
        coalesce(movements.currency <> cards.currency, false) as foreign_currency,
        cards.gift_card_id is null as unknown,
        coalesce(movements.date >= cards.voided_on and movements.kind <> 'opening', false) as voided
    from movements
    left join cards
        on movements.gift_card_id = cards.gift_card_id
),

balanced as (
    select
        *,
        row_number() over (
            partition by gift_card_id
            order by date, place, document_id nulls first, line_no
        ) as movement_no,
        sum(case when foreign_currency then 0 else amount end) over (
            partition by gift_card_id
            order by date, place, document_id nulls first, line_no
            rows between unbounded preceding and current row
        ) as balance
    from counted
)

select
    gift_card_id,
    movement_no,
    date,
    kind,
    document_id,
    amount,
    balance,
    nullif(
        concat_ws(
            '|',
            case when balance < 0 then 'negative' end,
            case when foreign_currency then 'currency' end,
            case when unknown then 'unknown' end,
            case when voided then 'voided' end
        ),
        ''
    ) as flags
from balanced

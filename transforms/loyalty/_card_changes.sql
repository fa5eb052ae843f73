-- Cards of which tonight's drops say something else than was known before, or whose customer stands for nobody now and did
-- not before, or the other way round.
-- grain: card_id
-- why: a head office that sends all its cards each night changes nothing with those that stay as they were.
with

cards as (
    select
        card_id,
        drop_date,
        drop_id,
        max(seq) as seq,
        list(
            row(
                program_id,
                card_type,
                customer_id,
                enrolled_from,
                enrolled_to,
                replaces_card_id
            )
            order by program_id
        ) as content
    from landed.loyalty_cards
    where drop_date <= $business_date
    group by
        card_id,
        drop_date,
        drop_id
),

compared as (
    select
        card_id,
        drop_date,
        seq,
        content,
        lag(content) over (partition by card_id order by drop_date, drop_id) as content_before,
        lead(content) over (partition by card_id order by drop_date, drop_id) as content_after
    from cards
)

select distinct card_id
from compared
where
    (seq > $since or drop_date > $since_date)
    and (content is distinct from content_before or content_after is distinct from content)

union

select cards.card_id
from landed.loyalty_cards as cards
inner join sales._changed_placeholders as changed
    on trim(cards.customer_id) = changed.exact_id
where cards.drop_date <= $business_date

union

select cards.card_id
from landed.loyalty_cards as cards
inner join sales._changed_placeholders as changed
    on case when ltrim(trim(cards.customer_id), '0') = '' then '0' else lower(trim(cards.customer_id)) end
    = changed.folded_id
where cards.drop_date <= $business_date

-- How far cards are from a higher tier, or from keeping one whose stay ends, by the page's filters.
-- grain: definition, program_id, tier_id, outlook, lacks, channel, country, tier, segment
-- why: who is near is worth a word; loyalty.tier_outlook names the cards and what each lacks. The tier in question is
-- `tier_id`; `tier` is the best the customer has now. A tier below the card's effective one is not worth a word: nobody sees it.
with

outlooks as (
    select
        card_id,
        program_id,
        tier_id,
        level,
        outlook,
        case
            when coalesce(missing, 0) = 0 then 'nothing'
            when missing * 5 <= minimum then 'up to a fifth'
            when missing * 2 <= minimum then 'up to a half'
            else 'more'
        end as lacks,
        missing
    from loyalty.tier_outlook
    where
        outlook = 'reach'
        or tier_id = tier_id_now
),

cards as (
    select
        card_id,
        definition,
        channel,
        country,
        tier,
        segment
    from analysts._cards
)

select
    cards.definition,
    outlooks.program_id,
    outlooks.tier_id,
    outlooks.level,
    outlooks.outlook,
    outlooks.lacks,
    cards.channel,
    cards.country,
    cards.tier,
    cards.segment,
    count(*) as cards,
    sum(coalesce(outlooks.missing, 0)) as missing
from outlooks
inner join cards
    on outlooks.card_id = cards.card_id
group by all

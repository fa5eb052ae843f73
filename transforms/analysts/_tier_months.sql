-- Cards in each tier at the end of each month, and tonight, by the page's filters.
-- grain: definition, day, tier_id, channel, country, tier, segment
-- why: tiers over time; a stay counts on a day when it holds on it.
with

stays as (
    select
        card_id,
        tier_id,
        level,
        valid_from,
        valid_to
    from loyalty.card_tiers
    where valid_from <= $business_date
),

first_days as (
    select min(valid_from) as first_day
    from stays
    where valid_from > date '1900-01-01'
),

listed_days as (
    select
        unnest(
            generate_series(
                date_trunc('month', greatest(first_day, $business_date - interval (36) month)),
                date_trunc('month', $business_date),
                interval (1) month
            )
        ) as month
    from first_days
),

days as (
    select least(last_day(cast(month as date)), $business_date) as day
    from listed_days
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
    days.day,
    stays.tier_id,
    stays.level,
    cards.channel,
    cards.country,
    cards.tier,
    cards.segment,
    count(distinct stays.card_id) as cards
from stays
inner join days
    on stays.valid_from <= days.day
    and (stays.valid_to is null or stays.valid_to >= days.day)
inner join cards
    on stays.card_id = cards.card_id
group by all

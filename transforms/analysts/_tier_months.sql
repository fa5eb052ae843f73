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

-- Stays of a card in a tier that overlap or meet are one, so that it counts once on each day.
begun as (
    select
        card_id,
        tier_id,
        level,
        valid_from,
        coalesce(valid_to, date '9999-12-31') as valid_to,
        max(coalesce(valid_to, date '9999-12-31')) over (
            partition by card_id, tier_id, level
            order by valid_from, coalesce(valid_to, date '9999-12-31')
            rows between unbounded preceding and 1 preceding
        ) as held_until
    from stays
),

numbered as (
    select
        card_id,
        tier_id,
        level,
        valid_from,
        valid_to,
        sum(case when valid_from <= held_until then 0 else 1 end) over (
            partition by card_id, tier_id, level
            order by valid_from, valid_to
            rows between unbounded preceding and current row
        ) as span
    from begun
),

spans as (
    select
        card_id,
        tier_id,
        level,
        min(valid_from) as valid_from,
        max(valid_to) as valid_to
    from numbered
    group by
        card_id,
        tier_id,
        level,
        span
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
),

alike as (
    select
        cards.definition,
        spans.tier_id,
        spans.level,
        spans.valid_from,
        spans.valid_to,
        cards.channel,
        cards.country,
        cards.tier,
        cards.segment,
        count(*) as cards
    from spans
    inner join cards
        on spans.card_id = cards.card_id
    group by all
)

select
    alike.definition,
    days.day,
    alike.tier_id,
    alike.level,
    alike.channel,
    alike.country,
    alike.tier,
    alike.segment,
    sum(alike.cards) as cards
from alike
inner join days
    on days.day between alike.valid_from and alike.valid_to
group by all

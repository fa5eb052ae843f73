-- Cards by effective tier at the end of each month, and tonight, by the page's filters.
-- grain: definition, day, program_id, tier_id, channel, country, tier, segment
-- why: tiers over time. A card that stays in several tiers of a program counts in the highest only (spec 2-loyalty section 6).
with

stays as (
    select
        card_id,
        program_id,
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

-- The days on which a card's stays in a program begin and those after they end: between two of them nothing changes.
changes as (
    select
        card_id,
        program_id,
        valid_from as begins
    from stays

    union

    select
        card_id,
        program_id,
        cast(valid_to + 1 as date) as begins
    from stays
    where valid_to is not null
),

stretches as (
    select
        card_id,
        program_id,
        begins,
        coalesce(
            lead(begins) over (partition by card_id, program_id order by begins) - 1, date '9999-12-31'
        ) as ends
    from changes
),

effective as (
    select
        stretches.card_id,
        stretches.program_id,
        stretches.begins,
        stretches.ends,
        max_by(stays.tier_id, stays.level) as tier_id,
        max(stays.level) as level
    from stretches
    inner join stays
        on stretches.card_id = stays.card_id
        and stretches.program_id = stays.program_id
        and stretches.begins between stays.valid_from and coalesce(stays.valid_to, date '9999-12-31')
    group by
        stretches.card_id,
        stretches.program_id,
        stretches.begins,
        stretches.ends
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
        effective.program_id,
        effective.tier_id,
        effective.level,
        effective.begins,
        effective.ends,
        cards.channel,
        cards.country,
        cards.tier,
        cards.segment,
        count(*) as cards
    from effective
    inner join cards
        on effective.card_id = cards.card_id
    group by all
)

select
    alike.definition,
    days.day,
    alike.program_id,
    alike.tier_id,
    alike.level,
    alike.channel,
    alike.country,
    alike.tier,
    alike.segment,
    sum(alike.cards) as cards
from alike
inner join days
    on days.day between alike.begins and alike.ends
group by all

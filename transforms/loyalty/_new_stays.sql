-- Stays in tiers of the accounts worked out tonight, adjacent and overlapping ones of a tier made one.
-- grain: card_id, program_id, tier_id, valid_from
-- why: qualifying on a day gives a stay from the day after to the end of the tier's validity; minimum 0 is everyone, for as
-- long as a version in force says so (spec 2-loyalty section 6).
with

cards as (
    select
        cards.card_id,
        cards.program_id,
        min(cards.enrolled_from) as enrolled_from
    from reference.loyalty_cards as cards
    inner join loyalty._scope_cards as scope
        on cards.card_id = scope.card_id
    where cards.valid_to = date '9999-12-31'
    group by
        cards.card_id,
        cards.program_id
),

days as (
    select
        issued.card_id,
        issued.program_id,
        issued.reward_point_id,
        issued.business_date,
        issued.points_h,
        issued.raises
    from loyalty._issued_days as issued
    inner join cards
        on issued.card_id = cards.card_id
        and issued.program_id = cards.program_id
),

windows as (
    select
        days.card_id,
        days.program_id,
        days.business_date,
        days.raises,
        rules.tier_id,
        rules.level,
        rules.valid_until,
        rules.minimum_h,
        sum(days.points_h) over (
            partition by days.card_id, days.program_id, rules.tier_id, rules.rule_no, days.reward_point_id
            order by days.business_date - date '0001-01-01'
            range between (days.business_date - rules.window_start) preceding
            and (days.business_date - rules.window_end) preceding
        ) as issued_h
    from days
    inner join programme.tier_rules as rules
        on days.program_id = rules.program_id
        and days.reward_point_id = rules.reward_point_id
        and days.business_date = rules.business_date
    where rules.minimum_h > 0
),

qualified as (
    select
        card_id,
        program_id,
        tier_id,
        level,
        business_date + 1 as valid_from,
        coalesce(valid_until, date '9999-12-31') as valid_to,
        business_date as qualified_on,
        'qualified' as reason
    from windows
    where
        raises
        and coalesce(issued_h, 0) >= minimum_h
        and coalesce(valid_until, date '9999-12-31') > business_date
),

everyone as (
    select
        cards.card_id,
        cards.program_id,
        tiers.tier_id,
        tiers.level,
        greatest(cards.enrolled_from, coalesce(versions.in_force_from, date '0001-01-01')) as valid_from,
        coalesce(versions.in_force_to, date '9999-12-31') as valid_to,
        greatest(cards.enrolled_from, coalesce(versions.in_force_from, date '0001-01-01')) as qualified_on,
        'everyone' as reason
    from cards
    inner join programme.tiers as tiers
        on cards.program_id = tiers.program_id
        and tiers.everyone
    inner join programme.versions as versions
        on tiers.version = versions.version
    where cards.enrolled_from <= coalesce(versions.in_force_to, date '9999-12-31')
),

manual as (
    select
        cards.card_id,
        cards.program_id,
        overrides.tier_id,
        tiers.level,
        overrides.valid_from,
        coalesce(overrides.valid_to, date '9999-12-31') as valid_to,
        overrides.valid_from as qualified_on,
        'manual' as reason
    from loyalty._overrides as overrides
    inner join cards
        on overrides.card_id = cards.card_id
        and overrides.program_id = cards.program_id
    inner join programme.calendar as calendar
        on calendar.business_date = $business_date
    inner join programme.tiers as tiers
        on calendar.version = tiers.version
        and overrides.program_id = tiers.program_id
        and overrides.tier_id = tiers.tier_id
),

stays as (
    select * from qualified
    union all by name
    select * from everyone
    union all by name
    select * from manual
),

islands as (
    select
        card_id,
        program_id,
        tier_id,
        level,
        valid_from,
        valid_to,
        qualified_on,
        reason,
        case
            when valid_from <= max(valid_to) over (
                partition by card_id, program_id, tier_id
                order by valid_from, valid_to, qualified_on, reason
                rows between unbounded preceding and 1 preceding
            ) + 1
                then 0
            else 1
        end as begins
    from (
        select
            card_id,
            program_id,
            tier_id,
            level,
            valid_from,
            least(valid_to, date '9999-12-30') as valid_to,
            qualified_on,
            reason
        from stays
    ) as bounded
),

numbered as (
    select
        card_id,
        program_id,
        tier_id,
        level,
        valid_from,
        valid_to,
        qualified_on,
        reason,
        sum(begins) over (
            partition by card_id, program_id, tier_id
            order by valid_from, valid_to, qualified_on, reason
            rows between unbounded preceding and current row
        ) as island
    from islands
)

select
    card_id,
    program_id,
    tier_id,
    min(level) as level,
    min(valid_from) as valid_from,
    case when max(valid_to) < date '9999-12-30' then max(valid_to) end as valid_to,
    min_by(qualified_on, (valid_from, valid_to, qualified_on, reason)) as qualified_on,
    min_by(reason, (valid_from, valid_to, qualified_on, reason)) as reason
from numbered
group by
    card_id,
    program_id,
    tier_id,
    island

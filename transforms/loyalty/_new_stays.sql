-- Stays in tiers of the accounts worked out tonight, adjacent and overlapping ones of a tier made one.
-- grain: card_id, program_id, tier_id, valid_from
-- why: qualifying on a day gives a stay from the day after to the end of the tier's validity, to every card of the party and
-- to those that join it later; minimum 0 is everyone, for as long as a version in force says so. A replaced card's stays end
-- the day before and go on, on the new one (spec 2-loyalty sections 2 and 6).
with

cards as (
    select
        cards.card_id,
        cards.program_id,
        min(cards.enrolled_from) as enrolled_from
    from reference.loyalty_cards as cards
    inner join loyalty._scope_cards as scope
        on cards.card_id = scope.card_id
        and not scope.only_due
    where cards.valid_to = date '9999-12-31'
    group by
        cards.card_id,
        cards.program_id
),

terms as (
    select
        card_id,
        program_id,
        bearer_id,
        min(member_from) as term_from,
        max(member_to) as term_to,
        count(*) over (partition by bearer_id, program_id) > 1 as in_turn
    from loyalty._memberships
    group by
        card_id,
        program_id,
        bearer_id
),

qualified as (
    select
        members.bearer_id,
        members.program_id,
        reached.tier_id,
        reached.level,
        greatest(reached.business_date + 1, members.member_from) as valid_from,
        reached.valid_until as valid_to,
        reached.business_date as qualified_on,
        reached.reason
    from loyalty._qualified as reached
    inner join loyalty._memberships as members
        on reached.party = members.party
        and reached.program_id = members.program_id
        and reached.business_date <= members.member_to
        and reached.valid_until >= members.member_from
),

everyone as (
    select
        terms.bearer_id,
        cards.program_id,
        tiers.tier_id,
        tiers.level,
        greatest(cards.enrolled_from, coalesce(versions.in_force_from, date '0001-01-01')) as valid_from,
        coalesce(versions.in_force_to, date '9999-12-31') as valid_to,
        greatest(cards.enrolled_from, coalesce(versions.in_force_from, date '0001-01-01')) as qualified_on,
        'everyone' as reason
    from cards
    inner join terms
        on cards.card_id = terms.card_id
        and cards.program_id = terms.program_id
    inner join programme.tiers as tiers
        on cards.program_id = tiers.program_id
        and tiers.everyone
    inner join programme.versions as versions
        on tiers.version = versions.version
    where cards.enrolled_from <= coalesce(versions.in_force_to, date '9999-12-31')
),

manual as (
    select
        terms.bearer_id,
        terms.program_id,
        overrides.tier_id,
        tiers.level,
        overrides.valid_from,
        coalesce(overrides.valid_to, date '9999-12-31') as valid_to,
        overrides.valid_from as qualified_on,
        'manual' as reason
    from loyalty._overrides as overrides
    inner join terms
        on overrides.card_id = terms.card_id
        and overrides.program_id = terms.program_id
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
        bearer_id,
        program_id,
        tier_id,
        level,
        valid_from,
        valid_to,
        qualified_on,
        reason,
        case
            when valid_from <= max(valid_to) over (
                partition by bearer_id, program_id, tier_id
                order by valid_from, valid_to, qualified_on, reason
                rows between unbounded preceding and 1 preceding
            ) + 1
                then 0
            else 1
        end as begins
    from (
        select
            bearer_id,
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
        bearer_id,
        program_id,
        tier_id,
        level,
        valid_from,
        valid_to,
        qualified_on,
        reason,
        sum(begins) over (
            partition by bearer_id, program_id, tier_id
            order by valid_from, valid_to, qualified_on, reason
            rows between unbounded preceding and current row
        ) as island
    from islands
),

joined as (
    select
        bearer_id,
        program_id,
        tier_id,
        min(level) as level,
        min(valid_from) as valid_from,
        max(valid_to) as valid_to,
        min_by(qualified_on, (valid_from, valid_to, qualified_on, reason)) as qualified_on,
        min_by(reason, (valid_from, valid_to, qualified_on, reason)) as reason
    from numbered
    group by
        bearer_id,
        program_id,
        tier_id,
        island
),

given as (
    select
        terms.card_id,
        joined.program_id,
        joined.tier_id,
        joined.level,
        case when terms.in_turn then greatest(joined.valid_from, terms.term_from) else joined.valid_from end as valid_from,
        case when terms.in_turn then least(joined.valid_to, terms.term_to) else joined.valid_to end as valid_to,
        joined.qualified_on,
        joined.reason
    from joined
    inner join terms
        on joined.bearer_id = terms.bearer_id
        and joined.program_id = terms.program_id
)

select
    card_id,
    program_id,
    tier_id,
    level,
    valid_from,
    case when valid_to < date '9999-12-30' then valid_to end as valid_to,
    qualified_on,
    reason
from given
where valid_from <= valid_to

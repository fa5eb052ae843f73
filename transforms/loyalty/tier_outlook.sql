-- What it takes each card to reach a higher tier, or to keep one whose stay ends.
-- grain: card_id, program_id, tier_id
-- why: a member who lacks little, or is about to lose something, is worth a word. Looked at as the tiers would be if points
-- came on the day after the night: by the rules and windows of that day, the points issued up to the night and, where the
-- program pools, those of all the customer's cards (spec 2-loyalty section 6). Issued points that only lack an occasion
-- (missing is 0) give the tier with the next point of the kind. Of several rules the one that lacks least is shown.
with

owners as (
    select
        card_id,
        owner_card_id
    from loyalty._replaced
    qualify row_number() over (partition by card_id order by owned_from desc) = 1
),

enrolled as (
    select
        card_id,
        program_id
    from reference.loyalty_cards
    where valid_to = date '9999-12-31'
    group by
        card_id,
        program_id
    having min(enrolled_from) <= $business_date + 1
),

persons as (
    select
        card_id,
        customer_id
    from loyalty._cards
    where $business_date + 1 between valid_from and valid_to
),

members as (
    select
        enrolled.card_id,
        enrolled.program_id,
        case
            when programs.pool_related_cards and persons.customer_id is not null
                then 'customer ' || persons.customer_id
            else 'card ' || enrolled.card_id
        end as party
    from enrolled
    inner join persons
        on enrolled.card_id = persons.card_id
    inner join programme.calendar as calendar
        on calendar.business_date = $business_date + 1
    inner join programme.programs as programs
        on enrolled.program_id = programs.program_id
        and calendar.version = programs.version
    anti join owners
        on enrolled.card_id = owners.card_id
),

rules as (
    select
        program_id,
        tier_id,
        level,
        rule_no,
        reward_point_id,
        minimum_h,
        window_start,
        window_end,
        valid_until
    from programme.tier_rules
    where
        business_date = $business_date + 1
        and minimum_h > 0
),

issued as (
    select
        coalesce(owners.owner_card_id, entries.card_id) as card_id,
        entries.program_id,
        entries.reward_point_id,
        entries.entry_date,
        entries.points
    from loyalty.entries as entries
    left join owners
        on entries.card_id = owners.card_id
    where
        entries.side = 'issued'
        and coalesce(entries.corrected_type, entries.entry_type) in ('earn', 'return_earned', 'adjust')
),

counted as (
    select
        members.party,
        rules.program_id,
        rules.tier_id,
        rules.rule_no,
        cast(sum(issued.points) * 100 as bigint) as issued_h
    from issued
    inner join members
        on issued.card_id = members.card_id
        and issued.program_id = members.program_id
    inner join rules
        on issued.program_id = rules.program_id
        and issued.reward_point_id = rules.reward_point_id
        and issued.entry_date between rules.window_start and rules.window_end
    group by
        members.party,
        rules.program_id,
        rules.tier_id,
        rules.rule_no
),

nearest as (
    select
        members.card_id,
        rules.program_id,
        rules.tier_id,
        rules.level,
        rules.reward_point_id,
        rules.minimum_h,
        rules.window_start,
        rules.valid_until,
        coalesce(counted.issued_h, 0) as issued_h,
        greatest(rules.minimum_h - coalesce(counted.issued_h, 0), 0) as missing_h
    from members
    inner join rules
        on members.program_id = rules.program_id
    left join counted
        on members.party = counted.party
        and rules.program_id = counted.program_id
        and rules.tier_id = counted.tier_id
        and rules.rule_no = counted.rule_no
    qualify row_number() over (
        partition by members.card_id, rules.program_id, rules.tier_id
        order by missing_h, rules.rule_no
    ) = 1
),

stays as (
    select
        card_id,
        program_id,
        tier_id,
        level,
        valid_from,
        coalesce(valid_to, date '9999-12-31') as valid_to
    from loyalty.card_tiers
    where coalesce(valid_to, date '9999-12-31') > $business_date
),

held as (
    select
        card_id,
        program_id,
        tier_id,
        level,
        valid_to
    from stays
    where valid_from <= $business_date + 1
),

effective as (
    select
        card_id,
        program_id,
        max_by(tier_id, level) as tier_id,
        max(level) as level
    from held
    group by
        card_id,
        program_id
),

falls as (
    select
        held.card_id,
        held.program_id,
        held.tier_id,
        max_by(others.tier_id, others.level) as tier_id_then
    from held
    inner join stays as others
        on held.card_id = others.card_id
        and held.program_id = others.program_id
        and held.tier_id <> others.tier_id
        and held.valid_to + 1 between others.valid_from and others.valid_to
    where held.valid_to < date '9999-12-31'
    group by
        held.card_id,
        held.program_id,
        held.tier_id
),

concerned as (
    select
        nearest.card_id,
        nearest.program_id,
        nearest.tier_id,
        nearest.level,
        'reach' as outlook,
        cast(null as date) as held_until
    from nearest
    left join effective
        on nearest.card_id = effective.card_id
        and nearest.program_id = effective.program_id
    where nearest.level > coalesce(effective.level, -1)

    union all

    select
        held.card_id,
        held.program_id,
        held.tier_id,
        held.level,
        'keep' as outlook,
        held.valid_to as held_until
    from held
    inner join members
        on held.card_id = members.card_id
        and held.program_id = members.program_id
    where held.valid_to < date '9999-12-31'
)

select
    concerned.card_id,
    concerned.program_id,
    concerned.tier_id,
    $business_date as as_of,
    concerned.outlook,
    concerned.level,
    effective.tier_id as tier_id_now,
    concerned.held_until,
    cast(concerned.held_until - $business_date as integer) as days_left,
    falls.tier_id_then,
    nearest.reward_point_id,
    cast(nearest.minimum_h * 0.01 as decimal(18, 2)) as minimum,
    nearest.window_start as counted_from,
    cast(nearest.issued_h * 0.01 as decimal(18, 2)) as issued,
    cast(nearest.missing_h * 0.01 as decimal(18, 2)) as missing,
    nearest.valid_until as would_hold_until
from concerned
left join nearest
    on concerned.card_id = nearest.card_id
    and concerned.program_id = nearest.program_id
    and concerned.tier_id = nearest.tier_id
left join effective
    on concerned.card_id = effective.card_id
    and concerned.program_id = effective.program_id
left join falls
    on concerned.card_id = falls.card_id
    and concerned.program_id = falls.program_id
    and concerned.tier_id = falls.tier_id

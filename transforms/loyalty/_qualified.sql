-- Days on which a customer, or a card that stands for itself, reached a tier, and until when that holds.
-- grain: party, program_id, tier_id, business_date, reason
-- why: the points issued in the rule's window reach its minimum, looked at on days that raise them, that bring a card with
-- points, that replace a card, or that somebody asked for (spec 2-loyalty section 6). Where no card came or went with points
-- one window over the party's days is enough; the few other parties have each such day added up by itself.
with

members as (
    select
        bearer_id,
        program_id,
        party,
        member_from,
        member_to,
        party is distinct from lag(party) over following as arrives,
        lead(party) over following is not null
        and lead(party) over following <> party as leaves
    from loyalty._memberships
    window following as (partition by bearer_id, program_id order by member_from)
),

bearers as (
    select distinct
        card_id,
        program_id,
        bearer_id
    from loyalty._memberships
),

issued as (
    select
        bearers.bearer_id,
        issued.program_id,
        issued.reward_point_id,
        issued.business_date,
        sum(issued.points_h) as points_h,
        bool_or(issued.raises) as raises
    from loyalty._issued_days as issued
    inner join bearers
        on issued.card_id = bearers.card_id
        and issued.program_id = bearers.program_id
    group by
        bearers.bearer_id,
        issued.program_id,
        issued.reward_point_id,
        issued.business_date
),

brought as (
    select
        members.party,
        members.program_id,
        issued.reward_point_id,
        members.member_from as business_date,
        sum(issued.points_h) as points_h
    from members
    inner join issued
        on members.bearer_id = issued.bearer_id
        and members.program_id = issued.program_id
        and issued.business_date < members.member_from
    where members.arrives
    group by
        members.party,
        members.program_id,
        members.bearer_id,
        issued.reward_point_id,
        members.member_from
),

shifting as (
    select
        party,
        program_id
    from members
    where leaves

    union

    select
        party,
        program_id
    from brought
),

steady as (
    select
        members.party,
        issued.program_id,
        issued.reward_point_id,
        issued.business_date,
        sum(issued.points_h) as points_h,
        bool_or(issued.raises) as raises
    from issued
    inner join (
        select distinct
            party,
            program_id,
            bearer_id
        from members
    ) as members
        on issued.bearer_id = members.bearer_id
        and issued.program_id = members.program_id
    anti join shifting
        on members.party = shifting.party
        and members.program_id = shifting.program_id
    group by
        members.party,
        issued.program_id,
        issued.reward_point_id,
        issued.business_date
),

rule_keys as (
    select distinct
        program_id,
        tier_id,
        rule_no,
        reward_point_id
    from programme.tier_rules
    where minimum_h > 0
),

-- A day without the rule (of another version, or before its window begins) reaches nothing, but later windows count it.
windows as (
    select
        steady.party,
        steady.program_id,
        steady.business_date,
        steady.raises and rules.window_start <= steady.business_date as raises,
        rule_keys.tier_id,
        rules.level,
        rules.valid_until,
        rules.minimum_h,
        sum(steady.points_h) over (
            partition by
                steady.party, steady.program_id, rule_keys.tier_id, rule_keys.rule_no, steady.reward_point_id
            order by steady.business_date - date '0001-01-01'
            range between greatest(coalesce(steady.business_date - rules.window_start, 0), 0) preceding
            and coalesce(steady.business_date - rules.window_end, 0) preceding
        ) as issued_h
    from steady
    inner join rule_keys
        on steady.program_id = rule_keys.program_id
        and steady.reward_point_id = rule_keys.reward_point_id
    left join programme.tier_rules as rules
        on rule_keys.program_id = rules.program_id
        and rule_keys.tier_id = rules.tier_id
        and rule_keys.rule_no = rules.rule_no
        and rule_keys.reward_point_id = rules.reward_point_id
        and steady.business_date = rules.business_date
        and rules.minimum_h > 0
),

looked_at as (
    select
        members.party,
        members.program_id,
        issued.reward_point_id,
        issued.business_date,
        'qualified' as reason
    from issued
    inner join members
        on issued.bearer_id = members.bearer_id
        and issued.program_id = members.program_id
        and issued.business_date between members.member_from and members.member_to
    semi join shifting
        on members.party = shifting.party
        and members.program_id = shifting.program_id
    where issued.raises

    union

    select
        party,
        program_id,
        reward_point_id,
        business_date,
        'qualified' as reason
    from brought
    where
        points_h > 0
        and starts_with(party, 'customer ')

    union

    select
        members.party,
        members.program_id,
        rules.reward_point_id,
        replaced.replaced_on as business_date,
        'qualified' as reason
    from loyalty._replaced as replaced
    inner join bearers
        on replaced.card_id = bearers.card_id
    inner join members
        on bearers.bearer_id = members.bearer_id
        and bearers.program_id = members.program_id
        and replaced.replaced_on between members.member_from and members.member_to
    inner join programme.tier_rules as rules
        on members.program_id = rules.program_id
        and replaced.replaced_on = rules.business_date

    union

    select
        members.party,
        members.program_id,
        rules.reward_point_id,
        asked.business_date,
        'reevaluation' as reason
    from loyalty._reevaluations as asked
    inner join bearers
        on asked.card_id is null
        or asked.card_id = bearers.card_id
    inner join members
        on bearers.bearer_id = members.bearer_id
        and bearers.program_id = members.program_id
        and asked.business_date between members.member_from and members.member_to
    inner join programme.tier_rules as rules
        on members.program_id = rules.program_id
        and asked.business_date = rules.business_date
),

-- Whose points count in which window; distinct, so that no plan sets every day's points against every day's rules first.
asked as (
    select distinct
        looked_at.party,
        looked_at.program_id,
        looked_at.reward_point_id,
        looked_at.business_date,
        looked_at.reason,
        members.bearer_id,
        members.member_from,
        rules.tier_id,
        rules.rule_no,
        rules.level,
        rules.valid_until,
        rules.minimum_h,
        rules.window_start,
        rules.window_end
    from looked_at
    inner join programme.tier_rules as rules
        on looked_at.program_id = rules.program_id
        and looked_at.reward_point_id = rules.reward_point_id
        and looked_at.business_date = rules.business_date
    inner join members
        on looked_at.party = members.party
        and looked_at.program_id = members.program_id
        and looked_at.business_date between members.member_from and members.member_to
    where rules.minimum_h > 0
),

added_up as (
    select
        asked.party,
        asked.program_id,
        asked.business_date,
        asked.reason,
        asked.tier_id,
        asked.level,
        asked.valid_until,
        asked.minimum_h,
        sum(issued.points_h) as issued_h
    from asked
    inner join issued
        on asked.bearer_id = issued.bearer_id
        and asked.program_id = issued.program_id
        and asked.reward_point_id = issued.reward_point_id
        and issued.business_date between asked.window_start and asked.window_end
    group by
        asked.party,
        asked.program_id,
        asked.business_date,
        asked.reason,
        asked.reward_point_id,
        asked.tier_id,
        asked.rule_no,
        asked.level,
        asked.valid_until,
        asked.minimum_h
),

reached as (
    select
        party,
        program_id,
        tier_id,
        level,
        business_date,
        valid_until,
        'qualified' as reason
    from windows
    where
        raises
        and coalesce(issued_h, 0) >= minimum_h

    union

    select
        party,
        program_id,
        tier_id,
        level,
        business_date,
        valid_until,
        reason
    from added_up
    where issued_h >= minimum_h
)

select
    party,
    program_id,
    tier_id,
    level,
    business_date,
    coalesce(valid_until, date '9999-12-31') as valid_until,
    reason
from reached
where coalesce(valid_until, date '9999-12-31') > business_date

-- Whose points count together towards a tier, and when: the customer's cards where the program pools them, else the card.
-- grain: card_id, program_id, member_from
-- why: bearer is the card that points and stays went over to when it was replaced, so that a card and the one in its place
-- are one; a card that joins a customer later brings its history from that day (spec 2-loyalty section 6).
with

bearers as (
    select
        card_id,
        owner_card_id as bearer_id,
        replaced_on
    from loyalty._replaced
    qualify row_number() over (partition by card_id order by owned_from desc) = 1
),

enrolments as (
    select
        card_id,
        program_id,
        min(enrolled_from) as enrolled_from
    from reference.loyalty_cards
    where valid_to = date '9999-12-31'
    group by
        card_id,
        program_id
),


spans as (
    select
        cards.card_id,
        coalesce(bearers.bearer_id, cards.card_id) as bearer_id,
        enrolments.program_id,
        case
            when programs.pool_related_cards and cards.customer_id is not null then 'customer ' || cards.customer_id
            else 'card ' || coalesce(bearers.bearer_id, cards.card_id)
        end as party,
        greatest(
            cards.valid_from,
            enrolments.enrolled_from,
            coalesce(versions.in_force_from, date '0001-01-01')
        ) as member_from,
        least(
            cards.valid_to,
            coalesce(bearers.replaced_on - 1, date '9999-12-31'),
            coalesce(versions.in_force_to, date '9999-12-31')
        ) as member_to
    from loyalty._cards as cards
    inner join loyalty._scope_cards as scope
        on cards.card_id = scope.card_id
        and not scope.only_due
    inner join enrolments
        on cards.card_id = enrolments.card_id
    inner join programme.programs as programs
        on enrolments.program_id = programs.program_id
    inner join programme.versions as versions
        on programs.version = versions.version
    left join bearers
        on cards.card_id = bearers.card_id
),

compared as (
    select
        card_id,
        bearer_id,
        program_id,
        party,
        member_from,
        member_to,
        party is distinct from lag(party) over following as changes
    from spans
    where member_from <= member_to
    window following as (partition by card_id, program_id order by member_from)
),

numbered as (
    select
        card_id,
        bearer_id,
        program_id,
        party,
        member_from,
        member_to,
        count(*) filter (where changes) over (
            partition by card_id, program_id
            order by member_from
            rows between unbounded preceding and current row
        ) as stretch
    from compared
)

select
    card_id,
    bearer_id,
    program_id,
    party,
    min(member_from) as member_from,
    max(member_to) as member_to
from numbered
group by
    card_id,
    bearer_id,
    program_id,
    party,
    stretch

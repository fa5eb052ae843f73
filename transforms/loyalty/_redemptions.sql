-- Each loyalty tender that takes points: the rule it agrees with, or the first reason to refuse it.
-- grain: document_no, tender_no
-- why: a reason that somebody released does not count; what then agrees with no rule is taken from the card's first program,
-- and where it names no reward point from the one that pays first. A tender that names one and no points does nothing.
with

tenders as (
    select
        tenders.document_no,
        tenders.tender_no,
        tenders.card_id,
        tenders.reward_point_id,
        tenders.points,
        tenders.rate,
        documents.document_id,
        documents.version,
        not coalesce(channels.loyalty_tender, true) as no_loyalty_tender
    from loyalty._tenders as tenders
    inner join loyalty._documents as documents
        on tenders.document_no = documents.document_no
    left join reference.channels as channels
        on documents.channel_id = channels.channel_id
        and documents.business_date between channels.valid_from and channels.valid_to
    where
        tenders.amount > 0
        and (tenders.points <> 0 or tenders.reward_point_id is null)
),

cards as (
    select
        document_no,
        card_id,
        min(card_type) as card_type,
        min(refusal) as refusal,
        coalesce(min(program_id) filter (where enrolled), min(program_id)) as program_id
    from loyalty._enrolments
    group by
        document_no,
        card_id
),

chosen as (
    select
        document_no,
        tender_no,
        program_id,
        rule_id,
        reward_point_id
    from loyalty._redemption_candidates
    -- Of several reward points, the one that is to be taken first; a tender that names one has rules of that alone.
    qualify row_number() over (
        partition by document_no, tender_no
        order by redeem_ranking nulls last, difference / denominator, program_id, rule_id
    ) = 1
),

first_points as (
    select
        version,
        reward_point_id
    from programme.reward_points
    where redeemable
    qualify row_number() over (partition by version order by redeem_ranking nulls last, reward_point_id) = 1
),

-- Tenders of card numbers that are ours; a version without ranges asks no number.
numbered as (
    select distinct
        tenders.document_no,
        tenders.tender_no
    from tenders
    inner join programme.card_numbers as numbers
        on tenders.version = numbers.version
        and length(tenders.card_id) = length(numbers.first_number)
        and tenders.card_id between numbers.first_number and numbers.last_number
),

looked_at as (
    select
        tenders.document_no,
        tenders.tender_no,
        tenders.document_id,
        tenders.card_id,
        coalesce(tenders.reward_point_id, chosen.reward_point_id) as reward_point_id,
        first_points.reward_point_id as first_reward_point_id,
        tenders.points,
        tenders.rate,
        coalesce(chosen.program_id, cards.program_id) as program_id,
        chosen.rule_id,
        cards.card_id is null as unknown_card,
        cards.refusal,
        cards.card_type = 'no_tender' as no_tender_card,
        numbered.tender_no is null
        and tenders.version in (select version from programme.card_numbers) as strange_number,
        tenders.no_loyalty_tender,
        tenders.reward_point_id is not null and reward_points.reward_point_id is null as unknown_reward_point,
        not coalesce(reward_points.redeemable, true) as not_redeemable
    from tenders
    left join cards
        on tenders.document_no = cards.document_no
        and tenders.card_id = cards.card_id
    left join programme.reward_points as reward_points
        on tenders.version = reward_points.version
        and tenders.reward_point_id = reward_points.reward_point_id
    left join chosen
        on tenders.document_no = chosen.document_no
        and tenders.tender_no = chosen.tender_no
    left join first_points
        on tenders.version = first_points.version
    left join numbered
        on tenders.document_no = numbered.document_no
        and tenders.tender_no = numbered.tender_no
),

reasons as (
    select
        document_no,
        tender_no,
        document_id,
        card_id,
        1 as place,
        'unknown_card' as reason
    from looked_at
    where unknown_card

    union all

    select
        document_no,
        tender_no,
        document_id,
        card_id,
        case refusal when 'blocked_card' then 2 when 'customer_pending' then 6 else 7 end as place,
        refusal as reason
    from looked_at
    where refusal is not null

    union all

    select
        document_no,
        tender_no,
        document_id,
        card_id,
        3 as place,
        'no_tender_card' as reason
    from looked_at
    where no_tender_card

    union all

    select
        document_no,
        tender_no,
        document_id,
        card_id,
        4 as place,
        'card_number' as reason
    from looked_at
    where strange_number

    union all

    select
        document_no,
        tender_no,
        document_id,
        card_id,
        5 as place,
        'no_loyalty_tender' as reason
    from looked_at
    where no_loyalty_tender

    union all

    select
        document_no,
        tender_no,
        document_id,
        card_id,
        8 as place,
        'unknown_reward_point' as reason
    from looked_at
    where unknown_reward_point

    union all

    select
        document_no,
        tender_no,
        document_id,
        card_id,
        9 as place,
        'not_redeemable' as reason
    from looked_at
    where not_redeemable

    union all

    select
        document_no,
        tender_no,
        document_id,
        card_id,
        10 as place,
        case when rate is null then 'missing_rate' else 'no_rule' end as reason
    from looked_at
    where
        rule_id is null
        and not not_redeemable
),

first_reasons as (
    select
        reasons.document_no,
        reasons.tender_no,
        min_by(reasons.reason, reasons.place) as reason
    from reasons
    left join loyalty._releases as releases
        on reasons.document_id = releases.document_id
        and reasons.card_id = releases.card_id
        and reasons.reason = releases.reason
    where
        releases.reason is null
        or reasons.reason in ('unknown_card', 'unknown_reward_point', 'missing_rate')
    group by
        reasons.document_no,
        reasons.tender_no
),

judged as (
    select
        looked_at.document_no,
        looked_at.tender_no,
        looked_at.document_id,
        looked_at.card_id,
        coalesce(
            looked_at.reward_point_id,
            case when first_reasons.reason is null then looked_at.first_reward_point_id end
        ) as reward_point_id,
        looked_at.points,
        looked_at.program_id,
        looked_at.rule_id,
        first_reasons.reason,
        row_number() over (
            partition by looked_at.document_no, first_reasons.reason is null
            order by looked_at.tender_no
        ) as place
    from looked_at
    left join first_reasons
        on looked_at.document_no = first_reasons.document_no
        and looked_at.tender_no = first_reasons.tender_no
)

select
    judged.document_no,
    judged.tender_no,
    judged.card_id,
    judged.reward_point_id,
    judged.points,
    judged.program_id,
    judged.rule_id,
    case
        when judged.reason is not null then judged.reason
        when judged.place > 1 and releases.reason is null then 'second_tender'
    end as reason
from judged
left join loyalty._releases as releases
    on judged.document_id = releases.document_id
    and judged.card_id = releases.card_id
    and releases.reason = 'second_tender'

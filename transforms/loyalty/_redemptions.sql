-- Each loyalty tender that takes points: the rule it agrees with, or the first reason to refuse it.
-- grain: document_no, tender_no
with

tenders as (
    select
        document_no,
        tender_no,
        card_id,
        reward_point_id,
        points
    from loyalty._tenders
    where amount > 0
),

cards as (
    select
        document_no,
        card_id,
        min(card_type) as card_type
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
        rule_id
    from loyalty._redemption_candidates
    qualify row_number() over (
        partition by document_no, tender_no
        order by difference / denominator, program_id, rule_id
    ) = 1
),

judged as (
    select
        tenders.document_no,
        tenders.tender_no,
        tenders.card_id,
        tenders.reward_point_id,
        tenders.points,
        chosen.program_id,
        chosen.rule_id,
        case
            when cards.card_id is null then 'unknown_card'
            when cards.card_type = 'blocked' then 'blocked_card'
            when cards.card_type = 'no_tender' then 'no_tender_card'
            when reward_points.reward_point_id is null then 'unknown_reward_point'
            when not reward_points.redeemable then 'not_redeemable'
            when chosen.rule_id is null then 'no_rule'
        end as reason
    from tenders
    inner join loyalty._documents as documents
        on tenders.document_no = documents.document_no
    left join cards
        on tenders.document_no = cards.document_no
        and tenders.card_id = cards.card_id
    left join programme.reward_points as reward_points
        on documents.version = reward_points.version
        and tenders.reward_point_id = reward_points.reward_point_id
    left join chosen
        on tenders.document_no = chosen.document_no
        and tenders.tender_no = chosen.tender_no
)

select
    document_no,
    tender_no,
    card_id,
    reward_point_id,
    points,
    program_id,
    rule_id,
    coalesce(
        reason,
        case
            when row_number() over (partition by document_no, reason is null order by tender_no) > 1 then 'second_tender'
        end
    ) as reason
from judged

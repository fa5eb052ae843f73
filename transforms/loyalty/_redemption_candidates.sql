-- The redemption rules each loyalty tender agrees with, and by how much it differs.
-- grain: document_no, tender_no, rule_id
-- why: the store has taken the points; they must agree with a rule to within one unit (spec 2-loyalty section 7). Where a
-- tender names no reward point, it is the rule's; one that names no points agrees with none (7-seeds-whole section 10).
with

tenders as (
    select
        tenders.document_no,
        tenders.tender_no,
        tenders.card_id,
        tenders.reward_point_id,
        tenders.rate as tender_rate,
        cast(tenders.amount * 1000 as hugeint) as amount_milli,
        cast(tenders.points * 100 as hugeint) as points_h,
        documents.currency,
        documents.business_date,
        documents.channel_id,
        documents.version
    from loyalty._tenders as tenders
    inner join loyalty._documents as documents
        on tenders.document_no = documents.document_no
    where tenders.amount > 0
),

rules as (
    select
        tenders.document_no,
        tenders.tender_no,
        tenders.points_h,
        tenders.amount_milli,
        tenders.business_date,
        rules.program_id,
        rules.rule_id,
        rules.reward_point_id,
        reward_points.redeem_ranking,
        rules.type,
        rules.category_id,
        rules.product_id,
        rules.variant_id,
        cast(rules.per_milli as hugeint) as per_milli,
        cast(rules.points_h as hugeint) as rule_points_h,
        cast(reward_points.unit_h as hugeint) as unit_h,
        -- From the tender's currency into the document's, and from there into the rule's.
        cast(cast(tenders.tender_rate as decimal(38, 8)) * 100000000 as hugeint)
        * case
            when tenders.currency = rules.currency then 1
            else cast(cast(rates.rate as decimal(38, 8)) * 100000000 as hugeint)
        end as whole_rate,
        cast(100000000 as hugeint)
        * case when tenders.currency = rules.currency then 1 else 100000000 end as rate_unit
    from tenders
    inner join loyalty._enrolments as enrolments
        on tenders.document_no = enrolments.document_no
        and tenders.card_id = enrolments.card_id
        and enrolments.enrolled
    inner join loyalty._channel_schemes as schemes
        on tenders.channel_id = schemes.channel_id
        and tenders.business_date = schemes.business_date
    inner join programme.redemption_rules as rules
        on tenders.version = rules.version
        and schemes.scheme_id = rules.scheme_id
        and enrolments.program_id = rules.program_id
        and coalesce(tenders.reward_point_id, rules.reward_point_id) = rules.reward_point_id
        and (rules.valid_from is null or tenders.business_date >= rules.valid_from)
        and (rules.valid_to is null or tenders.business_date <= rules.valid_to)
    inner join programme.reward_points as reward_points
        on tenders.version = reward_points.version
        and rules.reward_point_id = reward_points.reward_point_id
        and (tenders.reward_point_id is not null or reward_points.redeemable)
    left join loyalty._tier_of_day as tiers
        on tenders.document_no = tiers.document_no
        and tenders.card_id = tiers.card_id
        and enrolments.program_id = tiers.program_id
    left join loyalty._affiliated as affiliated
        on tenders.document_no = affiliated.document_no
        and tenders.card_id = affiliated.card_id
        and rules.affiliation_id = affiliated.affiliation_id
    left join loyalty._rates as rates
        on tenders.currency = rates.from_currency
        and rules.currency = rates.to_currency
        and tenders.business_date = rates.business_date
    where
        tenders.points_h > 0
        and (rules.tier_id is null or rules.tier_id = tiers.tier_id)
        and (rules.affiliation_id is null or affiliated.affiliation_id is not null)
),

matching_units as (
    select
        rules.document_no,
        rules.tender_no,
        rules.rule_id,
        cast(floor(sum(lines.quantity)) as hugeint) as units
    from rules
    inner join loyalty._lines as lines
        on rules.document_no = lines.document_no
    where
        rules.type = 'payment_by_quantity'
        and lines.kind = 'sale'
        and lines.quantity > 0
        and coalesce(lines.eligible_points, true)
        and (
            rules.category_id is null
            or exists (
                select 1
                from loyalty._category_paths as paths
                where
                    paths.category_id = lines.category_id
                    and paths.ancestor_id = rules.category_id
                    and rules.business_date between paths.valid_from and paths.valid_to
            )
        )
        and (rules.product_id is null or rules.product_id = lines.product_id and lines.eligible_points is not null)
        and (rules.variant_id is null or rules.variant_id = lines.variant_id and lines.eligible_points is not null)
    group by
        rules.document_no,
        rules.tender_no,
        rules.rule_id
),

expected as (
    select
        rules.document_no,
        rules.tender_no,
        rules.program_id,
        rules.rule_id,
        rules.reward_point_id,
        rules.redeem_ranking,
        rules.unit_h,
        rules.points_h * rules.per_milli * rules.rate_unit as taken,
        rules.per_milli * rules.rate_unit as denominator,
        rules.amount_milli * rules.whole_rate * rules.rule_points_h as due
    from rules
    where
        rules.type = 'payment_by_amount'
        -- What is beyond exact counting (38 digits) agrees with no rule.
        and cast(rules.points_h as double) * rules.per_milli * rules.rate_unit < 1e37
        and cast(rules.amount_milli as double) * rules.whole_rate * rules.rule_points_h < 1e37

    union all

    select
        rules.document_no,
        rules.tender_no,
        rules.program_id,
        rules.rule_id,
        rules.reward_point_id,
        rules.redeem_ranking,
        rules.unit_h,
        rules.points_h * rules.per_milli as taken,
        rules.per_milli as denominator,
        1000
        * rules.rule_points_h
        * greatest(
            least(
                (2 * rules.points_h * rules.per_milli + 1000 * rules.rule_points_h) // (2 * 1000 * rules.rule_points_h),
                matching_units.units
            ),
            1
        ) as due
    from rules
    inner join matching_units
        on rules.document_no = matching_units.document_no
        and rules.tender_no = matching_units.tender_no
        and rules.rule_id = matching_units.rule_id
    where
        rules.type = 'payment_by_quantity'
        and matching_units.units >= 1
        and rules.rule_points_h > 0
)

select
    document_no,
    tender_no,
    program_id,
    rule_id,
    reward_point_id,
    redeem_ranking,
    abs(taken - due) as difference,
    denominator
from expected
where abs(taken - due) <= unit_h * denominator

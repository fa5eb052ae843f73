-- For one document: every earning rule of its day's programme, what it paid for each line, or why it did not.
-- grain: rule_id
select
    rules.rule_id,
    rules.scheme_id,
    rules.activity,
    rules.reward_point_id,
    tiers.tier_id as tier_of_the_day,
    matched.activity_milli * 0.001 as activity,
    rules.per_milli * 0.001 as per,
    rules.points_h * 0.01 as points_per,
    coalesce(paid.points, 0) as points,
    paid.by_line,
    case
        when documents.card_id is null then 'no loyalty card on the receipt'
        when not exists (select 1 from loyalty._enrolments as e where e.program_id = rules.program_id and e.enrolled)
            then 'the card is not in program ' || rules.program_id || ' that day'
        when exists (select 1 from loyalty._enrolments as e where e.card_type = 'blocked') then 'the card is blocked'
        when not exists (select 1 from loyalty._channel_schemes as s where s.scheme_id = rules.scheme_id)
            then 'scheme ' || rules.scheme_id || ' does not reach channel ' || documents.channel_id
        when documents.business_date < rules.valid_from then 'not valid before ' || rules.valid_from
        when documents.business_date > rules.valid_to then 'not valid after ' || rules.valid_to
        when rules.tier_id is not null and rules.tier_id is distinct from tiers.tier_id
            then 'only for tier ' || rules.tier_id || '; the card was ' || coalesce(tiers.tier_id, 'in none')
        when rules.affiliation_id is not null and affiliated.affiliation_id is null
            then 'only for affiliation ' || rules.affiliation_id
        when applicable.rule_id is null then 'the customer has an excluded affiliation'
        when applicable.earns_nothing then 'paid partly with points: the programme says no_earn'
        when applicable.rate is null then 'no exchange rate to ' || rules.currency
        when matched.application_no is null then 'no line matches'
        when paid.application_no is null and rules.activity = 'transaction_count' then 'the matching lines come to nothing'
        when paid.application_no is null then 'below ' || rules.per_milli * 0.001 || ', or rounded to nothing'
        else 'paid'
    end as why
from loyalty._documents as documents
inner join programme.earning_rules as rules
    on documents.version = rules.version
left join loyalty._tier_of_day as tiers
    on rules.program_id = tiers.program_id and documents.card_id = tiers.card_id
left join loyalty._affiliated as affiliated
    on rules.affiliation_id = affiliated.affiliation_id and documents.card_id = affiliated.card_id
left join (
    select r.rule_id, a.* from loyalty._applicable_rules as a inner join loyalty._rules as r on a.rule_no = r.rule_no
) as applicable
    on rules.rule_id = applicable.rule_id
left join (
    select application_no, sum(activity_milli) as activity_milli from loyalty._matching_lines group by application_no
) as matched
    on applicable.application_no = matched.application_no
left join (
    select
        application_no,
        sum(points_h) * 0.01 as points,
        string_agg('line ' || line_no || ': ' || cast(points_h * 0.01 as decimal(18, 2)), ', ' order by line_no) as by_line
    from loyalty._earned_lines
    group by application_no
) as paid
    on applicable.application_no = paid.application_no

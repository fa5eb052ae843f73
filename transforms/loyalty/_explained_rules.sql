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
    credited.points as credited,
    paid.by_line,
    case
        when documents.card_id is null then 'no loyalty card on the receipt'
        when not exists (select 1 from loyalty._enrolments as e where e.program_id = rules.program_id and e.enrolled)
            then 'the card is not in program ' || rules.program_id || ' that day'
        when exists (select 1 from loyalty._enrolments as e where e.refusal = 'blocked_card')
            then 'the card is blocked, or another has replaced it'
        when exists (select 1 from loyalty._enrolments as e where e.refusal = 'customer_pending')
            then 'the card waits: its customer is not in the master yet'
        when exists (select 1 from loyalty._enrolments as e where e.refusal = 'enrollment_blocked')
            then 'the customer is blocked for loyalty enrollment'
        when documents.activity_type is null and rules.activity = 'other_activity' then 'only for other activities'
        when rules.activity_type is distinct from documents.activity_type
            then 'not for this activity: ' || coalesce(rules.activity_type, rules.activity)
        when not exists (select 1 from loyalty._channel_schemes as s where s.scheme_id = rules.scheme_id)
            then 'scheme ' || rules.scheme_id || ' does not reach channel ' || documents.channel_id
        when documents.business_date < rules.valid_from then 'not valid before ' || rules.valid_from
        when documents.business_date > rules.valid_to then 'not valid after ' || rules.valid_to
        when rules.tier_id is not null and rules.tier_id is distinct from tiers.tier_id
            then 'only for tier ' || rules.tier_id || '; the card was ' || coalesce(tiers.tier_id, 'in none')
        when rules.affiliation_id is not null and affiliated.affiliation_id is null
            then 'only for affiliation ' || rules.affiliation_id
        when applicable.rule_id is null then 'the customer has an excluded affiliation'
        when applicable.earns_nothing and exists (select 1 from loyalty._tender_worth as w where w.unknown)
            then 'paid partly with points, in a currency without exchange rate'
        when applicable.earns_nothing then 'paid partly with points: the programme says no_earn'
        when matched.application_no is null
            and not exists (select 1 from loyalty._lines as l where l.kind <> 'return' or l.original_transaction_id is null)
            then 'by no rule: what is brought back takes back what it earned'
        when matched.application_no is null then 'no line matches'
        when applicable.rate is null then 'no exchange rate to ' || rules.currency
        when paid.application_no is null and rules.activity = 'transaction_count' then 'the matching lines come to nothing'
        when paid.application_no is null then 'below ' || rules.per_milli * 0.001 || ', or rounded to nothing'
        when paid.earned > coalesce(credited.points, 0)
            then 'paid, but cut to ' || coalesce(credited.points, 0) || ': the card may hold no more than '
            || cast(reward_points.maximum_h * 0.01 as decimal(18, 2))
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
        cast(sum(points_h) filter (where direction = 1) * 0.01 as decimal(18, 2)) as earned,
        string_agg(case when line_no = 0 then 'the activity: ' else 'line ' || line_no || ': ' end || cast(points_h * 0.01 as decimal(18, 2)), ', ' order by line_no) as by_line
    from loyalty._earned_lines
    group by application_no
) as paid
    on applicable.application_no = paid.application_no
left join programme.reward_points as reward_points
    on rules.version = reward_points.version and rules.reward_point_id = reward_points.reward_point_id
left join (
    select rule_id, sum(points) as points
    from loyalty.entries
    where
        transaction_id in (select document_id from loyalty._documents)
        and coalesce(corrected_type, entry_type) = 'earn'
    group by rule_id
) as credited
    on rules.rule_id = credited.rule_id

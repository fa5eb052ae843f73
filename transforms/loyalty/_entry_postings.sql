-- What the ledger gains tonight: new entries, and corrections where an account worked out again comes out differently.
-- grain: entry_id
-- why: published entries never change; the difference is posted tonight, naming what it corrects.
with

now as (
    select
        entries.entry_id,
        entries.card_id,
        entries.program_id,
        entries.reward_point_id,
        entries.entry_type,
        entries.points,
        entries.entry_date,
        entries.posted_date,
        entries.usable_from,
        entries.expires_on,
        entries.event_id,
        entries.transaction_id,
        entries.line_no,
        entries.rule_id,
        entries.side,
        cards.again
    from loyalty._folded_entries as entries
    inner join loyalty._scope_cards as cards
        on entries.card_id = cards.card_id
),

published as (
    select
        coalesce(entries.corrected_entry_id, entries.entry_id) as entry_id,
        entries.card_id,
        entries.program_id,
        entries.reward_point_id,
        coalesce(entries.corrected_type, entries.entry_type) as entry_type,
        entries.entry_date,
        entries.usable_from,
        entries.expires_on,
        entries.event_id,
        entries.transaction_id,
        entries.line_no,
        entries.rule_id,
        entries.side,
        sum(entries.points) as points
    from loyalty.entries as entries
    inner join loyalty._scope_cards as cards
        on entries.card_id = cards.card_id
        and cards.again
    group by all
),

-- An entry that stands on another card or day than before has a new name, and says what it is instead of.
taken as (
    select distinct entry_id
    from published
),

matched as (
    select
        coalesce(now.entry_id, published.entry_id) as entry_id,
        coalesce(now.card_id, published.card_id) as card_id,
        coalesce(now.program_id, published.program_id) as program_id,
        coalesce(now.reward_point_id, published.reward_point_id) as reward_point_id,
        coalesce(now.entry_type, published.entry_type) as entry_type,
        coalesce(now.entry_date, published.entry_date) as entry_date,
        coalesce(now.usable_from, published.usable_from) as usable_from,
        coalesce(now.expires_on, published.expires_on) as expires_on,
        coalesce(now.event_id, published.event_id) as event_id,
        coalesce(now.transaction_id, published.transaction_id) as transaction_id,
        coalesce(now.line_no, published.line_no) as line_no,
        coalesce(now.rule_id, published.rule_id) as rule_id,
        coalesce(now.side, published.side) as side,
        coalesce(now.points, 0) - coalesce(published.points, 0) as points,
        now.posted_date,
        published.entry_id is not null as is_published,
        published.entry_id is null and taken.entry_id is not null as is_instead
    from now
    full outer join published
        on now.entry_id = published.entry_id
        and now.card_id = published.card_id
        and now.program_id = published.program_id
        and now.reward_point_id = published.reward_point_id
        and now.entry_type = published.entry_type
        and now.side = published.side
        and now.entry_date = published.entry_date
        and now.usable_from is not distinct from published.usable_from
        and now.expires_on is not distinct from published.expires_on
        and now.again
    left join taken
        on now.entry_id = taken.entry_id
)

select
    case
        when is_published then entry_id || '~' || $seq || '/' || entry_date
        when is_instead then entry_id || '~' || $seq
        else entry_id
    end as entry_id,
    card_id,
    program_id,
    reward_point_id,
    case when is_published then 'correction' else entry_type end as entry_type,
    points,
    entry_date,
    case when is_published then $business_date else posted_date end as posted_date,
    usable_from,
    expires_on,
    event_id,
    transaction_id,
    line_no,
    rule_id,
    side,
    case when is_published or is_instead then entry_id end as corrected_entry_id,
    case when is_published then entry_type end as corrected_type,
    $seq as seq
from matched
where
    points <> 0
    or not is_published

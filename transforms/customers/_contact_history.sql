-- Every version of the contacts of the customers worked out tonight.
-- grain: account, contact_no, valid_from
-- why: equal normalized values are one contact; its consent is the newest answer, and stays while it is taken away.
with

events as (
    select
        events.account,
        events.operation_no,
        events.event_no,
        events.counts_from,
        events.operated_at,
        events.channel_id,
        events.kind,
        events.value,
        events.is_primary,
        events.consent,
        events.removed,
        checked.normalized,
        checked.is_valid
    from customers._contact_events as events
    inner join customers._checked_values as checked
        on events.kind = checked.kind
        and events.value = checked.value
        and events.country = checked.country
),

appeared as (
    select
        account,
        kind,
        normalized,
        min(event_no) as event_no,
        min(counts_from) as first_day
    from events
    group by
        account,
        kind,
        normalized
),

contacts as (
    select
        account,
        kind,
        normalized,
        first_day,
        row_number() over (partition by account order by event_no) as contact_no
    from appeared
),

days as (
    select distinct
        account,
        kind,
        counts_from as day
    from events
),

-- Which event says last what a contact is, whether it is the primary one, and whether there is consent.
deciding as (
    select
        contacts.account,
        contacts.contact_no,
        contacts.kind,
        contacts.normalized,
        days.day,
        max(events.event_no) as last_no,
        max(events.event_no) filter (where events.is_primary is not null) as marked_no,
        max(events.event_no) filter (where events.consent is not null) as consent_no
    from contacts
    inner join days
        on contacts.account = days.account
        and contacts.kind = days.kind
        and contacts.first_day <= days.day
    inner join events
        on contacts.account = events.account
        and contacts.kind = events.kind
        and contacts.normalized = events.normalized
        and events.counts_from <= days.day
    group by
        contacts.account,
        contacts.contact_no,
        contacts.kind,
        contacts.normalized,
        days.day
),

completed as (
    select
        deciding.account,
        deciding.contact_no,
        deciding.kind,
        deciding.normalized,
        deciding.day,
        newest.removed,
        newest.value,
        newest.is_valid,
        not newest.removed
        and row_number() over (
            partition by deciding.account, deciding.kind, deciding.day, newest.removed
            order by
                case when marked.is_primary then marked.operation_no end desc nulls last,
                case when marked.is_primary then deciding.normalized end nulls last,
                deciding.contact_no
        ) = 1 as is_primary,
        coalesce(answered.consent, false) as consent,
        answered.operated_at as consent_at,
        answered.channel_id as consent_channel_id
    from deciding
    inner join events as newest
        on deciding.account = newest.account
        and deciding.last_no = newest.event_no
    left join events as marked
        on deciding.account = marked.account
        and deciding.marked_no = marked.event_no
    left join events as answered
        on deciding.account = answered.account
        and deciding.consent_no = answered.event_no
),

compared as (
    select
        *,
        row(removed, value, is_valid, is_primary, consent, consent_at) is distinct from lag(
            row(removed, value, is_valid, is_primary, consent, consent_at)
        ) over (partition by account, contact_no order by day) as is_new
    from completed
),

versions as (
    select
        *,
        coalesce(lead(day) over (partition by account, contact_no order by day), date '9999-12-31') as next_day
    from compared
    where is_new
)

select
    account,
    contact_no,
    day as valid_from,
    next_day as valid_to,
    kind,
    value,
    normalized,
    is_primary,
    is_valid,
    consent,
    consent_at,
    consent_channel_id
from versions
where not removed

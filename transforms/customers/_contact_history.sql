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

folded as (
    select
        contacts.account,
        contacts.contact_no,
        contacts.kind,
        contacts.normalized,
        days.day,
        max_by(events.removed, events.event_no) as removed,
        max_by(events.value, events.event_no) as value,
        max_by(events.is_valid, events.event_no) as is_valid,
        max_by(events.is_primary, events.event_no) filter (where events.is_primary is not null) as is_marked,
        max(events.operation_no) filter (where events.is_primary is not null) as marked_no,
        max_by(events.consent, events.event_no) filter (where events.consent is not null) as consent,
        max_by(events.operated_at, events.event_no) filter (where events.consent is not null) as consent_at,
        max_by(events.channel_id, events.event_no)
            filter (where events.consent is not null and events.channel_id is not null) as channel_id,
        max(events.event_no) filter (where events.consent is not null) as consent_no,
        max(events.event_no)
            filter (where events.consent is not null and events.channel_id is not null) as channel_no
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
        account,
        contact_no,
        kind,
        normalized,
        day,
        removed,
        value,
        is_valid,
        not removed
        and row_number() over (
            partition by account, kind, day, removed
            order by
                case when is_marked then marked_no end desc nulls last,
                case when is_marked then normalized end nulls last,
                contact_no
        ) = 1 as is_primary,
        coalesce(consent, false) as consent,
        consent_at,
        case when channel_no = consent_no then channel_id end as consent_channel_id
    from folded
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

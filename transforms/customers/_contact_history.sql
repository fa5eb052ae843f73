-- Every version of the contacts of the customers worked out tonight.
-- grain: account, contact_no, valid_from
-- why: equal normalized values are one contact; its consent is the newest answer, and stays while it is taken away.
with

read as (
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
        events.held_from,
        checked.normalized,
        checked.is_valid
    from customers._contact_events as events
    inner join customers._checked_values as checked
        on events.kind = checked.kind
        and events.value = checked.value
        and events.country = checked.country

    union all

    select
        account,
        operation_no,
        event_no,
        counts_from,
        operated_at,
        channel_id,
        kind,
        value,
        is_primary,
        consent,
        removed,
        held_from,
        normalized,
        is_valid
    from customers._contact_events
    where held_from is not null
),

-- A contact is known by the first event that names it.
contacts as (
    select
        account,
        kind,
        normalized,
        min(event_no) as contact_id,
        min(counts_from) as first_day,
        max(held_from) as held_from
    from read
    group by
        account,
        kind,
        normalized
),

events as (
    select
        contacts.contact_id,
        read.event_no,
        read.operation_no,
        read.counts_from,
        read.operated_at,
        read.channel_id,
        read.value,
        read.is_primary,
        read.consent,
        read.removed,
        read.is_valid
    from read
    inner join contacts
        on read.account = contacts.account
        and read.kind = contacts.kind
        and read.normalized = contacts.normalized
),

numbered as (
    select
        contact_id,
        row_number() over (partition by account order by contact_id) as contact_no
    from contacts
),

days as (
    select distinct
        account,
        kind,
        counts_from as day
    from read
),

-- Which event says last what a contact is, whether it is the primary one, and whether there is consent.
deciding as (
    select
        contacts.contact_id,
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
        on contacts.contact_id = events.contact_id
        and events.counts_from <= days.day
    group by
        contacts.contact_id,
        days.day
),

-- Of those of a kind the one last so marked is primary, the lowest of one operation; else the first.
standing as (
    select
        deciding.contact_id,
        deciding.day,
        contacts.account,
        contacts.kind,
        case when marked.is_primary then marked.operation_no end as marked_by,
        case when marked.is_primary then contacts.normalized end as marked_value
    from deciding
    inner join contacts
        on deciding.contact_id = contacts.contact_id
    inner join events as newest
        on deciding.last_no = newest.event_no
    left join events as marked
        on deciding.marked_no = marked.event_no
    where not newest.removed
),

primaries as (
    select
        contact_id,
        day
    from standing
    qualify row_number() over (
        partition by account, kind, day
        order by
            marked_by desc nulls last,
            marked_value nulls last,
            contact_id
    ) = 1
),

completed as (
    select
        deciding.contact_id,
        deciding.day,
        newest.removed,
        newest.value,
        newest.is_valid,
        primaries.contact_id is not null as is_primary,
        coalesce(answered.consent, false) as consent,
        answered.operated_at as consent_at,
        answered.channel_id as consent_channel_id
    from deciding
    inner join events as newest
        on deciding.last_no = newest.event_no
    left join events as answered
        on deciding.consent_no = answered.event_no
    left join primaries
        on deciding.contact_id = primaries.contact_id
        and deciding.day = primaries.day
),

compared as (
    select
        *,
        row(removed, value, is_valid, is_primary, consent, consent_at) is distinct from lag(
            row(removed, value, is_valid, is_primary, consent, consent_at)
        ) over (partition by contact_id order by day) as is_new
    from completed
),

versions as (
    select
        *,
        coalesce(lead(day) over (partition by contact_id order by day), date '9999-12-31') as next_day
    from compared
    where is_new
)

select
    contacts.account,
    numbered.contact_no,
    greatest(versions.day, contacts.held_from) as valid_from,
    versions.next_day as valid_to,
    contacts.kind,
    versions.value,
    contacts.normalized,
    versions.is_primary,
    versions.is_valid,
    versions.consent,
    versions.consent_at,
    versions.consent_channel_id
from versions
inner join contacts
    on versions.contact_id = contacts.contact_id
inner join numbered
    on versions.contact_id = numbered.contact_id
where not versions.removed

-- What users did to the holds of orders, as landed: applied, or why not.
-- grain: order_id, at, event, user, hold_code
-- why: only what may follow the hold's state is applied (docs/call-center.md); what may not is reported, never lost.
with

events as (
    select
        event_id,
        order_id,
        hold_code,
        event,
        "at",
        "user",
        event_date,
        drop_id
    from call_center._hold_events
),

folded as (
    select
        event_id,
        applied,
        reason
    from call_center._folded_events
)

select
    events.order_id,
    events.hold_code,
    events.event,
    events."at",
    events."user",
    folded.applied,
    folded.reason,
    events.event_date,
    events.drop_id
from events
inner join folded
    on events.event_id = folded.event_id

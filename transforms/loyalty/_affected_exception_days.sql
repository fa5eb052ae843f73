-- Business dates whose exceptions change tonight.
-- grain: business_date
with

published as (
    select
        transaction_id,
        card_id,
        reason,
        detail,
        business_date
    from loyalty.exceptions
    where transaction_id in (select document_id from loyalty._worked_out)
),

now as (
    select
        transaction_id,
        card_id,
        reason,
        detail,
        business_date
    from loyalty._exceptions
),

changes as (
    (select * from now except select * from published)
    union all
    (select * from published except select * from now)
)

select business_date
from changes

union

select exceptions.business_date
from loyalty.exceptions as exceptions
inner join loyalty._dismissals as dismissals
    on exceptions.transaction_id = dismissals.document_id
where dismissals.seq > $since

-- What operations say of affiliations, by the days whose facts see it so.
-- grain: account, affiliation_id, known_from
-- why: one interval for each customer and affiliation; the newest operation wins for facts from its date on.
with

events as (
    select
        operations.owner as account,
        operations.operation_no,
        operations.counts_from,
        affiliations.affiliation_id,
        coalesce(affiliations.valid_from, operations.on_date) as valid_from,
        affiliations.valid_to
    from customers._operations as operations
    inner join landed.customer_affiliations as affiliations
        on operations.operation_id = affiliations.operation_id
        and operations.drop_id = affiliations.drop_id
    where operations.status = 'synced'
),

winners as (
    select distinct
        account,
        affiliation_id,
        counts_from,
        max(operation_no) over (
            partition by account, affiliation_id
            order by counts_from
            range between unbounded preceding and current row
        ) as operation_no
    from events
)

select
    winners.account,
    winners.affiliation_id,
    winners.counts_from as known_from,
    coalesce(
        lead(winners.counts_from) over (
            partition by winners.account, winners.affiliation_id order by winners.counts_from
        ),
        date '9999-12-31'
    ) as known_to,
    events.valid_from,
    events.valid_to
from winners
inner join events
    on winners.account = events.account
    and winners.affiliation_id = events.affiliation_id
    and winners.operation_no = events.operation_no

-- What operations say of affiliations, by the days whose facts see it so.
-- grain: account, affiliation_id, known_from
-- why: one interval for each customer and affiliation; the newest operation wins for facts from its date on.
with

held as (
    select versions.*
    from customers.affiliation_versions as versions
    inner join customers._continued as continued
        on versions.account = continued.account
        and versions.seq = continued.seq
    where
        versions.known_to = date '9999-12-31'
        and not versions.inherited
),

-- What a customer who is only added to has stands before tonight's operations.
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

    union all

    select
        account,
        0 as operation_no,
        date '0001-01-01' as counts_from,
        affiliation_id,
        valid_from,
        valid_to
    from held
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
    greatest(winners.counts_from, held.known_from) as known_from,
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
left join held
    on winners.account = held.account
    and winners.affiliation_id = held.affiliation_id

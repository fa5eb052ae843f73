-- Loyalty cards with their programs, as each business date sees them.
-- grain: card_id, valid_from, and the rows of that version
-- why: a fact of a day sees the newest record of that day or before, else the first one there is; the newest
-- drop's version of a key replaces all its rows. A customer named by GUID shows the account as soon as there is one.
with

rows_landed as (
    select *
    from landed.loyalty_cards
    where drop_date <= $business_date
),

drops as (
    select distinct
        card_id,
        drop_date,
        drop_id
    from rows_landed
),

versions as (
    select
        card_id,
        drop_date,
        drop_id,
        case
            when row_number() over (partition by card_id order by drop_date, drop_id) = 1 then date '0001-01-01'
            else drop_date
        end as valid_from,
        coalesce(
            lead(drop_date) over (partition by card_id order by drop_date, drop_id) - 1,
            date '9999-12-31'
        ) as valid_to
    from drops
),

accounts as (
    select
        async_id,
        account
    from customers.account_map
)

select
    rows_landed.card_id,
    rows_landed.program_id,
    rows_landed.card_type,
    coalesce(accounts.account, rows_landed.customer_id) as customer_id,
    rows_landed.issued_at,
    rows_landed.channel_id,
    rows_landed.enrolled_from,
    rows_landed.enrolled_to,
    rows_landed.replaces_card_id,
    versions.valid_from,
    versions.valid_to
from rows_landed
inner join versions
    on rows_landed.card_id = versions.card_id
    and rows_landed.drop_id = versions.drop_id
left join accounts
    on rows_landed.customer_id = accounts.async_id
where versions.valid_from <= versions.valid_to

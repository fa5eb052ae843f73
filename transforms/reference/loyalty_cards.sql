-- Loyalty cards with their programs, as each business date sees them.
-- grain: card_id, valid_from, and the rows of that version
-- why: a fact of a day sees the newest record of that day or before, else the first one there is; the newest
-- drop's version of a key replaces all its rows. A customer named by GUID shows the account as soon as there is one. A card
-- of a placeholder is anonymous while that stands for nobody: there its record is cut into spans, for all its programs.
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
),

nameless as (
    select
        rows_landed.card_id,
        rows_landed.drop_id,
        rows_landed.customer_id,
        placeholders.valid_from,
        placeholders.valid_to
    from rows_landed
    inner join sales._placeholders as placeholders
        on trim(rows_landed.customer_id) = placeholders.exact_id

    union

    select
        rows_landed.card_id,
        rows_landed.drop_id,
        rows_landed.customer_id,
        placeholders.valid_from,
        placeholders.valid_to
    from rows_landed
    inner join sales._placeholders as placeholders
        on case
            when ltrim(trim(rows_landed.customer_id), '0') = '' then '0' else lower(trim(rows_landed.customer_id))
        end = placeholders.folded_id
),

cuts as (
    select
        card_id,
        drop_id,
        date '0001-01-01' as cut
    from nameless

    union

    select
        card_id,
        drop_id,
        valid_from as cut
    from nameless

    union

    select
        card_id,
        drop_id,
        valid_to + 1 as cut
    from nameless
),

pieces as (
    select
        card_id,
        drop_id,
        cut as valid_from,
        coalesce(lead(cut) over (partition by card_id, drop_id order by cut) - 1, date '9999-12-31') as valid_to
    from cuts
    where cut <= date '9999-12-31'
),

seen as (
    select
        versions.card_id,
        versions.drop_id,
        pieces.valid_from as piece,
        greatest(versions.valid_from, pieces.valid_from) as valid_from,
        least(versions.valid_to, pieces.valid_to) as valid_to
    from versions
    left join pieces
        on versions.card_id = pieces.card_id
        and versions.drop_id = pieces.drop_id
),

nobody as (
    select distinct
        nameless.card_id,
        nameless.drop_id,
        nameless.customer_id,
        pieces.valid_from as piece
    from nameless
    inner join pieces
        on nameless.card_id = pieces.card_id
        and nameless.drop_id = pieces.drop_id
        and pieces.valid_from between nameless.valid_from and nameless.valid_to
)

select
    rows_landed.card_id,
    rows_landed.program_id,
    rows_landed.card_type,
    case when nobody.card_id is null then coalesce(accounts.account, rows_landed.customer_id) end as customer_id,
    rows_landed.issued_at,
    rows_landed.channel_id,
    rows_landed.enrolled_from,
    rows_landed.enrolled_to,
    rows_landed.replaces_card_id,
    seen.valid_from,
    seen.valid_to
from rows_landed
inner join seen
    on rows_landed.card_id = seen.card_id
    and rows_landed.drop_id = seen.drop_id
left join accounts
    on rows_landed.customer_id = accounts.async_id
left join nobody
    on rows_landed.card_id = nobody.card_id
    and rows_landed.drop_id = nobody.drop_id
    and rows_landed.customer_id = nobody.customer_id
    and seen.piece = nobody.piece
where seen.valid_from <= seen.valid_to

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
    select
        card_id,
        drop_date,
        drop_id,
        max(customer_id) as customer_id
    from rows_landed
    group by
        card_id,
        drop_date,
        drop_id
),

versions as (
    select
        card_id,
        drop_date,
        drop_id,
        customer_id,
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

placeholders as (
    select
        coalesce(
            folded_id, case when ltrim(trim(exact_id), '0') = '' then '0' else lower(trim(exact_id)) end
        ) as folded_id,
        exact_id,
        valid_from,
        valid_to
    from sales._placeholders
),

cuts as (
    select folded_id, date '0001-01-01' as cut
    from placeholders
    union
    select folded_id, valid_from as cut
    from placeholders
    union
    select folded_id, valid_to + 1 as cut
    from placeholders
),

spans as (
    select
        folded_id,
        cut as valid_from,
        coalesce(lead(cut) over (partition by folded_id order by cut) - 1, date '9999-12-31') as valid_to
    from cuts
    where cut <= date '9999-12-31'
),

-- The same id in all its letters, span by span: whether it is nobody in any, or in which.
pieces as (
    select
        spans.folded_id,
        spans.valid_from,
        spans.valid_to,
        bool_or(placeholders.folded_id is not null and placeholders.exact_id is null) as in_any_case,
        list(placeholders.exact_id) filter (placeholders.exact_id is not null) as exact_ids
    from spans
    left join placeholders
        on spans.folded_id = placeholders.folded_id
        and spans.valid_from between placeholders.valid_from and placeholders.valid_to
    group by
        spans.folded_id,
        spans.valid_from,
        spans.valid_to
),

seen as (
    select
        versions.card_id,
        versions.drop_id,
        versions.customer_id,
        pieces.in_any_case,
        pieces.exact_ids,
        greatest(versions.valid_from, pieces.valid_from) as valid_from,
        least(versions.valid_to, pieces.valid_to) as valid_to
    from versions
    left join pieces
        on case when ltrim(trim(versions.customer_id), '0') = '' then '0' else lower(trim(versions.customer_id)) end
        = pieces.folded_id
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
    case
        when
            seen.in_any_case is null
            or rows_landed.customer_id <> seen.customer_id
            or not (seen.in_any_case or coalesce(list_contains(seen.exact_ids, trim(rows_landed.customer_id)), false))
            then coalesce(accounts.account, rows_landed.customer_id)
    end as customer_id,
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
where seen.valid_from <= seen.valid_to

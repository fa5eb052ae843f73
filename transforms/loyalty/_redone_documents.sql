-- Documents worked out before that tonight's reference records concern.
-- grain: document_id
-- why: a reference record that comes late makes the facts it concerns be worked out again (spec 2-loyalty section 1). Late
-- products are seen to by sales, cards and customers by their accounts.
with

documents as (
    select
        transaction_id as document_id,
        channel_id,
        currency,
        business_date
    from sales.transactions
    where business_date <= $since_date
),

described as (
    select
        paths.category_id,
        greatest(changed.valid_from, paths.valid_from) as valid_from,
        least(changed.valid_to, paths.valid_to) as valid_to
    from loyalty._changed_categories as changed
    inner join loyalty._category_paths as paths
        on changed.category_id = paths.ancestor_id
),

next_rates as (
    select
        from_currency,
        to_currency,
        date,
        coalesce(
            lead(date) over (partition by from_currency, to_currency order by date) - 1,
            date '9999-12-31'
        ) as last_date
    from (select distinct from_currency, to_currency, date from reference.exchange_rates) as dated
)

select documents.document_id
from documents
inner join loyalty._changed_channels as changed
    on documents.channel_id = changed.channel_id
    and documents.business_date between changed.valid_from and changed.valid_to

union

select lines.transaction_id as document_id
from sales.lines as lines
inner join described
    on lines.category_id = described.category_id
    and lines.business_date between described.valid_from and described.valid_to
where lines.business_date <= $since_date

union

select documents.document_id
from documents
inner join loyalty._changed_rates as changed
    on documents.currency = changed.from_currency
    and documents.business_date between changed.valid_from and changed.valid_to
inner join next_rates
    on changed.from_currency = next_rates.from_currency
    and changed.to_currency = next_rates.to_currency
    and changed.date = next_rates.date
    and documents.business_date between next_rates.date and next_rates.last_date

union

select documents.document_id
from documents
inner join ops.withdrawn as withdrawn
    on documents.currency = withdrawn.name
    and withdrawn.dataset = 'exchange_rates'
where withdrawn.seq > $since

-- What the loyalty tenders of each document are worth in its currency, not rounded, as worth / unit cents.
-- grain: document_no
-- why: whatever becomes of them they lower what is left to earn on, one in another currency by its worth (spec
-- 7-seeds-whole section 10). Where no rate says what one is worth, what is left is unknown. sale_cents: what was sold.
with

tenders as (
    select
        document_no,
        cast(amount * 100 as hugeint) as cents,
        cast(cast(rate as decimal(38, 8)) * 100000000 as hugeint) as rate_e8,
        bool_or(rate is distinct from 1) over (partition by document_no) as foreign_currency
    from loyalty._tenders
    where amount > 0
),

sold as (
    select
        document_no,
        cast(sum(net_amount + tax_amount) * 100 as hugeint) as sale_cents
    from loyalty._lines
    where kind = 'sale'
    group by document_no
)

select
    tenders.document_no,
    cast(any_value(case when foreign_currency then 100000000 else 1 end) as hugeint) as unit,
    cast(
        sum(cents * case when foreign_currency then coalesce(rate_e8, 0) else 1 end) as hugeint
    ) as worth,
    any_value(sale_cents) as sale_cents,
    bool_or(rate_e8 is null) as unknown
from tenders
left join sold
    on tenders.document_no = sold.document_no
group by tenders.document_no

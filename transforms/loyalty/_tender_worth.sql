-- What the loyalty tenders of each document are worth in its currency, not rounded, as worth / unit cents.
-- grain: document_no
-- why: whatever becomes of them they lower what is left to earn on, one in another currency by its worth (spec
-- 7-seeds-whole section 10). Where no rate says what one is worth, what is left is unknown.
with

tenders as (
    select
        document_no,
        cast(amount * 100 as hugeint) as cents,
        rate,
        bool_or(rate is distinct from 1) over (partition by document_no) as foreign_currency
    from loyalty._tenders
    where amount > 0
)

select
    document_no,
    cast(any_value(case when foreign_currency then 100000000 else 1 end) as hugeint) as unit,
    cast(
        sum(cents * case when foreign_currency then coalesce(cast(rate * 100000000 as hugeint), 0) else 1 end) as hugeint
    ) as worth,
    bool_or(rate is null) as unknown
from tenders
group by document_no

-- The sixteen ways in which own recency (1), own frequency (2), own money (4) and the thresholds (8) can be new.
-- grain: combination
-- why: the share of each of the four is its Shapley value, in twelfths: what it adds to each combination of the
-- others, weighed 3, 1, 1, 3 by how many of them are new already.
with

-- Each of the four is that of one of the two sides of a pair.
bits as (
    select distinct case side when 'new' then 1 else 0 end as bit
    from rfm._pairs
),

combinations as (
    select
        own_recency.bit + 2 * own_frequency.bit + 4 * own_money.bit + 8 * thresholds.bit as combination,
        own_recency.bit as recency,
        own_frequency.bit as frequency,
        own_money.bit as money,
        thresholds.bit as thresholds,
        own_recency.bit + own_frequency.bit + own_money.bit + thresholds.bit as size
    from bits as own_recency
    cross join bits as own_frequency
    cross join bits as own_money
    cross join bits as thresholds
),

weighed as (
    select
        combination,
        recency,
        frequency,
        money,
        thresholds,
        case when size in (1, 4) then 3 else 1 end as joined,
        case when size in (0, 3) then -3 else -1 end as missed
    from combinations
)

select
    combination,
    case thresholds when 1 then 'new' else 'old' end as side,
    case recency when 1 then joined else missed end as recency_twelfths,
    case frequency when 1 then joined else missed end as frequency_twelfths,
    case money when 1 then joined else missed end as money_twelfths,
    case thresholds when 1 then joined else missed end as thresholds_twelfths
from weighed

-- At which level each due analysis scores each of its measures.
-- grain: run
-- why: a measure is scored within the groups of those of lower level numbers. `above` names a group by the digits
-- R F M of their scores, with 0 where a measure is not above: 530 is R5 F3, 0 is everybody.
select
    run,
    max(case measure when 'recency' then level end) as recency,
    max(case measure when 'frequency' then level end) as frequency,
    max(case measure when 'monetary' then level end) as monetary
from rfm._options
group by run

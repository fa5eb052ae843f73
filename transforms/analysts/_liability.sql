-- Points outstanding at the end of each month, by the month they were earned in, and what they are worth.
-- grain: reward_point_id, month, cohort
-- why: what is owed to members and how old it is. Owed points without a cohort, of cards in deficit, lessen it.
select
    reward_point_id,
    month,
    cohort,
    sum(closing) as closing,
    sum(closing_value) as closing_value
from loyalty.liability
group by
    reward_point_id,
    month,
    cohort

-- What can happen to a hold, in the order in which events of one moment happen, and whether it ends the hold.
-- grain: event
-- why: what may follow what is in kanta/holds.py, which has the same events in the same order.
select
    event,
    place,
    clears
from (
    values
        ('hold', 0, false),
        ('check_out', 1, false),
        ('clear_check_out', 2, false),
        ('clear', 3, true),
        ('clear_and_submit', 4, true),
        ('clear_and_modify', 5, true)
) as kinds (event, place, clears)

-- Dataset programs, the same for every database: all of the programme's version in force on the opening day.
-- grain: program_id
with

request as (
    select version
    from distribution._request
)

select
    programs.program_id,
    programs.pool_related_cards
from programme.programs as programs
inner join request
    on programs.version = request.version

-- Dataset programs of each database: all of the programme's version in force on the opening day.
-- grain: database, program_id
with

request as (
    select version
    from distribution._request
),

databases as (
    select distinct database
    from distribution._databases
)

select
    databases.database,
    programs.program_id,
    programs.pool_related_cards
from programme.programs as programs
inner join request
    on programs.version = request.version
cross join databases

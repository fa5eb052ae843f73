-- The analyses due: each definition on each of its dates, with all its options.
-- grain: run (definition, as_of)
-- why: everything after works on all of them in one pass; one small number stands for the two keys,
-- and another, the scope, for a definition in one version: what it takes in is the same on all its dates.
with

due as (
    select
        version,
        definition,
        as_of,
        period_start,
        period_end
    from programme.rfm_due
),

parameters as (
    select
        version,
        accounting_currency
    from programme.parameters
),

definitions as (
    select
        version,
        definition,
        divisions_recency,
        divisions_frequency,
        divisions_monetary,
        binning,
        cut_offset,
        priority_recency,
        priority_frequency,
        priority_monetary,
        multiplier_recency,
        multiplier_frequency,
        multiplier_monetary,
        composite,
        recency_unit,
        monetary,
        amount,
        subtract_returns,
        frequency_counts,
        history_months,
        lifetime_model,
        lifetime_unit,
        lifetime_holdout_days,
        lifetime_tolerance
    from programme.rfm_definitions
)

select
    row_number() over (order by due.definition, due.as_of) as run,
    dense_rank() over (order by due.definition, due.version) as scope,
    due.definition,
    due.as_of,
    due.version,
    due.period_start,
    due.period_end,
    parameters.accounting_currency,
    definitions.divisions_recency,
    definitions.divisions_frequency,
    definitions.divisions_monetary,
    definitions.binning,
    definitions.cut_offset,
    definitions.priority_recency,
    definitions.priority_frequency,
    definitions.priority_monetary,
    definitions.multiplier_recency,
    definitions.multiplier_frequency,
    definitions.multiplier_monetary,
    definitions.composite,
    definitions.recency_unit,
    definitions.monetary,
    definitions.amount,
    definitions.subtract_returns,
    definitions.frequency_counts,
    definitions.history_months,
    due.as_of = last_day(due.as_of) as month_end,
    case when due.as_of = last_day(due.as_of) then definitions.lifetime_model end as lifetime_model,
    definitions.lifetime_unit,
    definitions.lifetime_holdout_days,
    definitions.lifetime_tolerance
from due
inner join parameters
    on due.version = parameters.version
inner join definitions
    on due.version = definitions.version
    and due.definition = definitions.definition

-- Where each session of a package stands now.
-- grain: database, job, sequence
-- why: sessions are kept step by step; the last step says how a session stands, the steps before what it has been.
-- A retry lets failures be counted anew.
with

steps as (
    select
        database,
        job,
        sequence,
        step,
        state,
        reason,
        detail,
        business_date,
        data_group,
        recorded_at,
        max(step) over (partition by database, job, sequence) as steps,
        coalesce(
            max(case when reason = 'retry' then step end) over (partition by database, job, sequence),
            0
        ) as counted_from
    from distribution.sessions
),

packages as (
    select
        database,
        job,
        sequence,
        mode,
        manifest_sha256,
        view_sha256,
        rows,
        bytes,
        control_totals
    from distribution.packages
),

counted as (
    select
        database,
        job,
        sequence,
        count(*) filter (
            where state in ('create_failed', 'download_failed', 'apply_failed')
            and step > counted_from
        ) as failures,
        count(*) filter (where state = 'available') > 0 as was_available
    from steps
    group by
        database,
        job,
        sequence
)

select
    steps.database,
    steps.job,
    steps.sequence,
    steps.state,
    steps.reason,
    steps.detail,
    steps.business_date,
    steps.data_group,
    steps.steps,
    cast(counted.failures as integer) as failures,
    counted.was_available,
    steps.recorded_at,
    packages.mode,
    packages.manifest_sha256,
    packages.view_sha256,
    packages.rows,
    packages.bytes,
    packages.control_totals
from steps
inner join counted
    on steps.database = counted.database
    and steps.job = counted.job
    and steps.sequence = counted.sequence
left join packages
    on steps.database = packages.database
    and steps.job = packages.job
    and steps.sequence = packages.sequence
where steps.step = steps.steps

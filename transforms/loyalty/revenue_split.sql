-- What of each sale's price is revenue now, and what is deferred until the points it earned are redeemed or gone.
-- grain: transaction_id, program_id, reward_point_id
-- why: IFRS 15 and ASC 606 see two promises in a sale, the goods and the points, and share the price between them by their
-- stand-alone selling prices: that of the goods is the price, that of the points is points x value x the share expected to
-- be redeemed. A return gives both back. Of several kinds of points each has its part. Only sales in the accounting currency;
-- rounded half up to the cent, line by line, the rest is revenue now.
with

earned as (
    select
        transaction_id,
        program_id,
        reward_point_id,
        sum(points) as points
    from loyalty.entries
    where
        side = 'issued'
        and coalesce(corrected_type, entry_type) in ('earn', 'return_earned')
    group by
        transaction_id,
        program_id,
        reward_point_id
    having sum(points) <> 0
),

worth as (
    select
        points.reward_point_id,
        points.value,
        parameters.accounting_currency
    from programme.reward_points as points
    inner join programme.calendar as calendar
        on points.version = calendar.version
    inner join programme.parameters as parameters
        on points.version = parameters.version
    where
        calendar.business_date = $business_date
        and points.redeemable
        and points.value is not null
),

sold as (
    select
        sales.transaction_id,
        earned.program_id,
        earned.reward_point_id,
        sales.business_date,
        cast(date_trunc('month', sales.business_date) as date) as cohort,
        sales.net_amount,
        earned.points,
        worth.value as value_per_point,
        coalesce(breakage.redemption_rate, 1) as redemption_rate,
        cast(abs(sales.net_amount) * 100 as hugeint) * 10000 as price_e6,
        (
            cast(abs(earned.points) * 100 as hugeint) * cast(cast(worth.value as decimal(38, 6)) * 1000000 as hugeint)
            * cast(coalesce(breakage.redemption_rate, 1) * 1000000 as hugeint)
        ) // 100000000 as worth_e6
    from sales.transactions as sales
    inner join earned
        on sales.transaction_id = earned.transaction_id
    inner join worth
        on earned.reward_point_id = worth.reward_point_id
        and sales.currency = worth.accounting_currency
    left join loyalty.breakage as breakage
        on earned.program_id = breakage.program_id
        and earned.reward_point_id = breakage.reward_point_id
        and cast(date_trunc('month', sales.business_date) as date) = breakage.cohort
    where
        sales.net_amount > 0
        and earned.points > 0
        or sales.net_amount < 0
        and earned.points < 0
),

promised as (
    select
        transaction_id,
        program_id,
        reward_point_id,
        business_date,
        cohort,
        net_amount,
        points,
        value_per_point,
        redemption_rate,
        price_e6,
        worth_e6,
        cast(sum(worth_e6) over (partition by transaction_id) as hugeint) as all_worth_e6
    from sold
)

select
    transaction_id,
    program_id,
    reward_point_id,
    business_date,
    cohort,
    net_amount,
    cast(points as decimal(18, 2)) as points,
    value_per_point,
    cast(redemption_rate as decimal(18, 6)) as redemption_rate,
    cast(
        sign(net_amount)
        * cast(
            (2 * (price_e6 // 10000) * worth_e6 + price_e6 + all_worth_e6) // (2 * (price_e6 + all_worth_e6))
            as decimal(30, 0)
        )
        * 0.01 as decimal(18, 2)
    ) as deferred
from promised

-- What each customer is expected to buy in 30, 90 and 365 days, as the published models say.
-- grain: definition, as_of, customer_id
-- why: purchases are foretold for each (x, t_x, t) that occurs, amounts for each customer from its own average and
-- that of all. These are estimates, so they are worked out in floating point; what is kept is rounded to decimals.
with

runs as (
    select
        run,
        definition,
        as_of
    from rfm._runs
),

customers as (
    select
        run,
        customer_id,
        x,
        t_x,
        t,
        average_repeat_purchase,
        average_purchase
    from rfm._lifetime_customers
    where sample = 'all'
),

expectations as (
    select
        run,
        x,
        t_x,
        t,
        p_alive,
        expected_purchases_30d,
        purchases_30d_low,
        purchases_30d_high,
        expected_purchases_90d,
        purchases_90d_low,
        purchases_90d_high,
        expected_purchases_365d,
        purchases_365d_low,
        purchases_365d_high
    from rfm._lifetime_expectations
),

amounts as (
    select
        run,
        p,
        q,
        v
    from rfm._lifetime_amounts
),

-- Gamma-Gamma: the average of all, drawn to the customer's own the more repeat purchases it has.
spent as (
    select
        customers.run,
        customers.customer_id,
        case
            when customers.x = 0 or customers.average_repeat_purchase > 0 then
                cast(
                    round(
                        amounts.p * (amounts.v + customers.x * coalesce(customers.average_repeat_purchase, 0))
                        / (amounts.p * customers.x + amounts.q - 1),
                        2
                    ) as decimal(18, 2)
                )
        end as average
    from customers
    left join amounts
        on customers.run = amounts.run
)

select
    runs.definition,
    runs.as_of,
    customers.customer_id,
    customers.x,
    customers.t_x,
    customers.t,
    customers.average_repeat_purchase,
    customers.average_purchase,
    expectations.p_alive,
    spent.average as expected_average_purchase,
    expectations.expected_purchases_30d,
    expectations.purchases_30d_low,
    expectations.purchases_30d_high,
    cast(round(expectations.expected_purchases_30d * spent.average, 2) as decimal(18, 2)) as expected_value_30d,
    cast(round(expectations.purchases_30d_low * spent.average, 2) as decimal(18, 2)) as value_30d_low,
    cast(round(expectations.purchases_30d_high * spent.average, 2) as decimal(18, 2)) as value_30d_high,
    expectations.expected_purchases_90d,
    expectations.purchases_90d_low,
    expectations.purchases_90d_high,
    cast(round(expectations.expected_purchases_90d * spent.average, 2) as decimal(18, 2)) as expected_value_90d,
    cast(round(expectations.purchases_90d_low * spent.average, 2) as decimal(18, 2)) as value_90d_low,
    cast(round(expectations.purchases_90d_high * spent.average, 2) as decimal(18, 2)) as value_90d_high,
    expectations.expected_purchases_365d,
    expectations.purchases_365d_low,
    expectations.purchases_365d_high,
    cast(round(expectations.expected_purchases_365d * spent.average, 2) as decimal(18, 2)) as expected_value_365d,
    cast(round(expectations.purchases_365d_low * spent.average, 2) as decimal(18, 2)) as value_365d_low,
    cast(round(expectations.purchases_365d_high * spent.average, 2) as decimal(18, 2)) as value_365d_high
from customers
inner join runs
    on customers.run = runs.run
inner join expectations
    on customers.run = expectations.run
    and customers.x = expectations.x
    and customers.t_x = expectations.t_x
    and customers.t = expectations.t
inner join spent
    on customers.run = spent.run
    and customers.customer_id = spent.customer_id

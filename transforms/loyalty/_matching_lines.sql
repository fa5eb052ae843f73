-- The lines each applicable rule counts, with their activity in thousandths of a currency unit or piece.
-- grain: application_no, direction, line_no; direction 1 sells, -1 takes back
-- why: sale lines earn; return lines are worked out anew, as negative, when nothing says which sale they bring back or
-- the programme does not post per sales line. A transaction count is never taken back. A product nobody described
-- matches only rules that name none. Another activity is one piece, on no line.
with

applications as (
    select
        application_no,
        document_no,
        rule_no,
        business_date,
        earns_nothing
    from loyalty._applicable_rules
),

activities as (
    select applications.application_no
    from applications
    inner join loyalty._documents as documents
        on applications.document_no = documents.document_no
    where documents.activity_type is not null
),

rules as (
    select
        rule_no,
        activity,
        category_id,
        product_id,
        variant_id,
        post_per_sales_line,
        tax_in_basis
    from loyalty._rules
),

lines as (
    select
        document_no,
        line_no,
        case kind when 'sale' then 1 when 'return' then -1 end as direction, -- what is neither matches nothing
        product_id,
        variant_id,
        category_id,
        eligible_points is not null as described,
        quantity,
        net_amount,
        tax_amount,
        original_transaction_id is null as unlinked
    from loyalty._lines
    where coalesce(eligible_points, true)
)

select
    applications.application_no,
    lines.direction,
    lines.line_no,
    lines.direction * cast(lines.net_amount * 1000 as bigint) as net_milli,
    lines.direction
    * case rules.activity
        when 'purchase_amount'
            then cast((lines.net_amount + case when rules.tax_in_basis then lines.tax_amount else 0 end) * 1000 as bigint)
        when 'purchase_quantity' then cast(lines.quantity * 1000 as bigint)
        else 0
    end as activity_milli
from applications
inner join rules
    on applications.rule_no = rules.rule_no
inner join lines
    on applications.document_no = lines.document_no
left join loyalty._rule_categories as categories
    on rules.rule_no = categories.rule_no
    and lines.category_id = categories.category_id
    and applications.business_date between categories.valid_from and categories.valid_to
where
    (
        lines.direction = 1
        and not applications.earns_nothing
        or lines.direction = -1
        and rules.activity <> 'transaction_count'
        and (lines.unlinked or not rules.post_per_sales_line)
    )
    and (rules.category_id is null or categories.category_id is not null)
    and (rules.product_id is null or rules.product_id = lines.product_id and lines.described)
    and (rules.variant_id is null or rules.variant_id = lines.variant_id and lines.described)

union all

select
    application_no,
    1 as direction,
    0 as line_no,
    0 as net_milli,
    1000 as activity_milli
from activities

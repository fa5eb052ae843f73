-- Copies of a transaction that say something else than the copy that counts.
-- grain: document_id, drop_id
-- why: the earliest drop's copy counts; a copy that differs in whatever column is set aside, one that agrees is nothing
-- new, and one that says the receipt was voided since is no copy but a void. Compared as values and not as one text, in
-- which an empty column could take its neighbour's place. Which copy counts may turn when an earlier drop comes late, so
-- every copy of a touched document is compared.
with

copies as (
    select
        document_id,
        drop_id,
        drop_date,
        copy_rank
    from sales._copies
    where
        kind = 'transaction'
        and copies > 1
),

headers as (
    select
        landed.transaction_id as document_id,
        landed.drop_id,
        landed.file,
        landed.line,
        landed.seq,
        landed.store_id,
        landed.status,
        row(
            landed.store_id,
            landed.register_id,
            landed.transaction_no,
            landed.business_date,
            landed.started_at,
            landed.started_local,
            landed.ended_at,
            landed.ended_local,
            landed.type,
            landed.status,
            landed.customer_id,
            landed.loyalty_card_id,
            landed.currency,
            landed.net_amount,
            landed.tax_amount,
            landed.charges_amount,
            landed.discount_amount,
            landed.total_amount,
            landed.offline,
            landed.operator_id,
            landed.voids_transaction_id
        ) as content
    from landed.transactions as landed
    inner join copies
        on landed.transaction_id = copies.document_id
        and landed.drop_id = copies.drop_id
),

lines as (
    select
        landed.transaction_id as document_id,
        landed.drop_id,
        list(
            row(
                landed.line_no,
                landed.kind,
                landed.product_id,
                landed.variant_id,
                landed.quantity,
                landed.unit_price,
                landed.discount_amount,
                landed.net_amount,
                landed.tax_amount,
                landed.voided,
                landed.original_transaction_id,
                landed.original_line_no,
                landed.coupon_code,
                landed.gift_card_id
            )
            order by landed.line_no
        ) as content
    from landed.lines as landed
    inner join copies
        on landed.transaction_id = copies.document_id
        and landed.drop_id = copies.drop_id
    group by
        landed.transaction_id,
        landed.drop_id
),

tenders as (
    select
        landed.transaction_id as document_id,
        landed.drop_id,
        list(
            row(
                landed.tender_no,
                landed.type,
                landed.amount,
                landed.currency,
                landed.loyalty_card_id,
                landed.reward_point_id,
                landed.points,
                landed.gift_card_id
            )
            order by landed.tender_no
        ) as content
    from landed.tenders as landed
    inner join copies
        on landed.transaction_id = copies.document_id
        and landed.drop_id = copies.drop_id
    group by
        landed.transaction_id,
        landed.drop_id
),

contents as (
    select
        copies.document_id,
        copies.drop_id,
        copies.copy_rank,
        headers.file,
        headers.line,
        headers.seq,
        headers.store_id,
        headers.status,
        row(headers.content, lines.content, tenders.content) as content
    from copies
    inner join headers
        on copies.document_id = headers.document_id
        and copies.drop_id = headers.drop_id
    left join lines
        on copies.document_id = lines.document_id
        and copies.drop_id = lines.drop_id
    left join tenders
        on copies.document_id = tenders.document_id
        and copies.drop_id = tenders.drop_id
)

select
    later.document_id,
    later.drop_id,
    later.file,
    later.line,
    counts.drop_id as counting_drop_id
from contents as later
inner join contents as counts
    on later.document_id = counts.document_id
    and counts.copy_rank = 1
where
    later.copy_rank > 1
    and later.content is distinct from counts.content
    and not (later.status = 'voided' and counts.status = 'completed' and later.store_id = counts.store_id)

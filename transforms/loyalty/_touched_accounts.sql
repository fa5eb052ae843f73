-- Accounts that tonight's facts touch, and whether they must be worked out again from their first fact.
-- grain: account_id
-- why: a fact in its place, after all the account has been through, needs only the account's open lots; one that is
-- late, changed, or undoes an earlier one needs the whole history. The result is the same; only the work differs. Where
-- no more happens than that a lot runs out (only_due), no tier can change: they go by what was issued.
with

accounts as (
    select
        card_id,
        account_id
    from loyalty._accounts
),

changed as (
    select
        document_id,
        first_seen
    from loyalty._changed_documents
),

links as (
    select
        document_id,
        original_document_id
    from loyalty._return_links
),

touched_links as (
    select links.original_document_id
    from links
    inner join changed
        on links.document_id = changed.document_id

    union

    select links.original_document_id
    from links
    inner join changed
        on links.original_document_id = changed.document_id
),

concerned as (
    select document_id
    from changed

    union

    select original_document_id as document_id
    from touched_links
),

counted as (
    select
        transaction_id as document_id,
        loyalty_card_id as card_id,
        business_date
    from sales.transactions
    where transaction_id in (select document_id from concerned)
),

records as (
    select
        adjustment_id as document_id,
        card_id,
        cast(null as varchar) as other_card_id,
        business_date <= $since_date or came_before as again,
        came_before
    from loyalty._adjustments
    where is_new

    union all

    select
        transfer_id as document_id,
        from_card_id as card_id,
        to_card_id as other_card_id,
        business_date <= $since_date or came_before as again,
        came_before
    from loyalty._transfers
    where is_new

    union all

    select
        activities.activity_id as document_id,
        activities.card_id,
        cast(null as varchar) as other_card_id,
        activities.business_date <= $since_date or activities.came_before as again,
        activities.came_before
    from loyalty._activities as activities
    left join loyalty._changed_channels as channels
        on activities.channel_id = channels.channel_id
    where
        activities.is_new
        or channels.channel_id is not null
),

posted as (
    select distinct
        transaction_id as document_id,
        card_id
    from loyalty.events
    where
        transaction_id in (
            select document_id
            from changed
            where not first_seen

            union

            select document_id
            from records
            where came_before
        )
),

paid as (
    select
        transaction_id as document_id,
        loyalty_card_id as card_id,
        bool_or(amount < 0) as refunds
    from sales.tenders
    where
        type = 'loyalty'
        and loyalty_card_id is not null
        and transaction_id in (select document_id from concerned)
    group by
        transaction_id,
        loyalty_card_id
),

named as (
    select
        counted.card_id,
        counted.business_date <= $since_date or not changed.first_seen as again
    from changed
    inner join counted
        on changed.document_id = counted.document_id

    union all

    select
        paid.card_id,
        paid.refunds or counted.business_date <= $since_date or not changed.first_seen as again
    from changed
    inner join counted
        on changed.document_id = counted.document_id
    inner join paid
        on changed.document_id = paid.document_id

    union all

    select
        card_id,
        true as again
    from posted

    union all

    select
        counted.card_id,
        true as again
    from touched_links
    inner join counted
        on touched_links.original_document_id = counted.document_id

    union all

    select
        paid.card_id,
        true as again
    from touched_links
    inner join paid
        on touched_links.original_document_id = paid.document_id

    union all

    select
        card_id,
        again
    from records

    union all

    select
        other_card_id as card_id,
        again
    from records

    union all

    select
        card_id,
        true as again
    from loyalty._card_changes
    where $since > 0

    union all

    -- The first time all the dates on which a card changed hands lie among the facts.
    select
        card_id,
        true as again
    from loyalty._cards
    where
        $since = 0
        and valid_from > date '0001-01-01'

    union all

    select
        card_id,
        true as again
    from loyalty._replaced
    where replaced_on > $since_date

    union all

    -- A card that joins brings its points, which may give its customer's cards a tier.
    select
        card_id,
        false as again
    from reference.loyalty_cards
    where
        valid_to = date '9999-12-31'
        and enrolled_from > $since_date
        and enrolled_from <= $business_date

    union all

    select
        cards.card_id,
        true as again
    from loyalty._cards as cards
    inner join loyalty._changed_customers as customers
        on cards.customer_id = customers.customer_id
    where $since > 0

    union all

    select
        overrides.card_id,
        overrides.valid_from <= $since_date as again
    from loyalty._overrides as overrides
    where overrides.is_new

    union all

    select
        releases.card_id,
        true as again
    from loyalty._releases as releases
    where releases.seq > $since

    union all

    select
        coalesce(reevaluations.card_id, accounts.card_id) as card_id,
        reevaluations.business_date < $since_date as again
    from loyalty._reevaluations as reevaluations
    inner join accounts
        on reevaluations.card_id is null
        or reevaluations.card_id = accounts.card_id
    where
        reevaluations.seq > $since
        or reevaluations.business_date > $since_date

    union all

    select
        accounts.card_id,
        judged_anew.account_id is not null as again
    from accounts
    left join loyalty._judged_anew as judged_anew
        on accounts.account_id = judged_anew.account_id
    where
        $since > 0
        and exists (select 1 from loyalty._new_versions)

    union all

    select
        card_id,
        true as again
    from loyalty._withdrawn_cards

    union all

    -- The first time every card is new, also one that nothing has happened to: it may stand in a tier.
    select
        card_id,
        false as again
    from accounts
    where $since = 0
),

touched as (
    select
        accounts.account_id,
        bool_or(named.again) as again
    from named
    inner join accounts
        on named.card_id = accounts.card_id
    group by accounts.account_id
),

due as (
    select distinct accounts.account_id
    from loyalty._due_lots as due_lots
    inner join accounts
        on due_lots.card_id = accounts.card_id
    anti join touched
        on accounts.account_id = touched.account_id
)

select
    account_id,
    again,
    false as only_due
from touched

union all

select
    account_id,
    false as again,
    true as only_due
from due

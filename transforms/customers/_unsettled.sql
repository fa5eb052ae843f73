-- Customers of whom the versions do not tell all that later operations may need.
-- grain: owner
-- why: a contact that was taken away keeps its number and consent; and a phone number of headquarters without a country is
-- read in that of the main address, whichever that becomes.
with

operations as (
    select
        operation_id,
        drop_id,
        owner,
        channel_country
    from customers._operations
)

select operations.owner
from operations
inner join landed.customer_contacts as contacts
    on operations.operation_id = contacts.operation_id
    and operations.drop_id = contacts.drop_id
where
    (contacts.removed or (contacts.kind = 'phone' and not starts_with(trim(contacts.value), '+')))
    and (contacts.removed or operations.channel_country is null)

union

select operations.owner
from operations
inner join customers._own_changes as changes
    on operations.operation_id = changes.operation_id
where
    changes.column_name in ('email', 'phone')
    and (changes.value is null or (changes.column_name = 'phone' and not starts_with(trim(changes.value), '+')))
    and (changes.value is null or operations.channel_country is null)

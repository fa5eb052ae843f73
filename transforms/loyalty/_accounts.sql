-- Which account each card's points belong to, and with which cards a contact tender may ever share them.
-- grain: card_id
-- why: an account is all cards whose points can touch each other (spec 2-loyalty section 2).
select
    nodes.card_id,
    coalesce(joined.account_id, nodes.node) as account_id,
    coalesce(joined.circle_id, nodes.node) as circle_id
from loyalty._account_nodes as nodes
left join loyalty._joined as joined
    on nodes.node = joined.node

-- The categories each rule on a category takes in, by the business dates that see them so.
-- grain: rule_no, category_id, valid_from
select
    rules.rule_no,
    paths.category_id,
    paths.valid_from,
    paths.valid_to
from loyalty._rules as rules
inner join loyalty._category_paths as paths
    on rules.category_id = paths.ancestor_id

-- Cards with a lot that has run out since the last night, whether or not they bought anything.
-- grain: card_id
select distinct card_id
from loyalty.lot_postings
where
    expires_on >= $since_date -- earlier ones that night has closed
    and expires_on < $business_date

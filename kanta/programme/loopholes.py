"""How members get points or tiers for nothing by a programme's rules, each with the basket that does it.

What ``kanta programme check`` warns of (2-loyalty sections 4 to 6): the rules are followed to the letter, and still the
one who wrote them may not have meant it. Where returns take back what their lines earned and deficits are carried,
buying and returning leaves nothing; it is the other choices that are looked at here.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import ROUND_CEILING, Decimal

from kanta.programme.model import EarningRule, Programme, RedemptionRule, Scheme

Earning = tuple[Scheme, EarningRule]

#: The least a purchase can be of: money in cents, goods in units.
_LEAST = {"purchase_amount": Decimal("0.01"), "purchase_quantity": Decimal(1)}


def loopholes(programme: Programme) -> Iterator[str]:
    """Each of them as ``key: what is wrong; basket``, the most generous rule of each kind."""
    yield from _written_off(programme)
    if not programme.parameters.post_per_sales_line:
        yield from _never_taken_back(programme)
        yield from _below_the_threshold(programme)
    yield from _kept_by_itself(programme)


def _rules(programme: Programme, *activities: str) -> list[Earning]:
    """Earning rules of some activities, those that give most for each ``per`` first."""
    found = [(scheme, rule) for scheme in programme.schemes for rule in scheme.earning if rule.activity in activities]
    return sorted(found, key=lambda item: (-item[1].points / item[1].per, item[1].id))


def _written_off(programme: Programme) -> Iterator[str]:
    """What a return cannot take back any more is written off: who pays with the points first keeps what they paid."""
    if programme.parameters.negative_balance != "write_off":
        return
    for scheme, rule in _rules(programme, *_LEAST):
        for paying in scheme.redemption:
            if paying.reward_point == rule.reward_point and paying.type == "payment_by_amount":
                yield _written_off_by(rule, paying)
                return


def _written_off_by(rule: EarningRule, paying: RedemptionRule) -> str:
    times = (paying.points / rule.points).to_integral_value(ROUND_CEILING)
    return (
        "parameters.negative_balance: write_off gives points away, basket: buy "
        f"{_amount(rule, times * rule.per)} ({rule.id}: {_number(times * rule.points)} {rule.reward_point}), pay "
        f"{_amount(paying, paying.per)} with {_number(paying.points)} of them ({paying.id}) once they are usable, "
        "return the first purchase; what was paid with is written off"
    )


def _never_taken_back(programme: Programme) -> Iterator[str]:
    for _, rule in _rules(programme, "transaction_count")[:1]:
        yield _left_over(rule, "buy anything and return it", "a return never takes back a counted purchase")


def _below_the_threshold(programme: Programme) -> Iterator[str]:
    for _, rule in _rules(programme, *_LEAST):
        least = _LEAST[rule.activity]
        if rule.per > least:
            part = _amount(rule, max(rule.per / 2, least))
            basket = f"buy {_amount(rule, rule.per)} and return it in parts of {part} or less"
            yield _left_over(rule, basket, "each part is below what the rule needs")
            return


def _left_over(rule: EarningRule, basket: str, why: str) -> str:
    return (
        f"parameters.post_per_sales_line: false leaves points of what was returned, basket: {basket}; "
        f"{_number(rule.points)} {rule.reward_point} stay ({rule.id}), for {why}"
    )


def _kept_by_itself(programme: Programme) -> Iterator[str]:
    """A tier whose own rule pays as many points for its least basket as the tier asks for: who has it keeps it."""
    for program in programme.programs:
        for tier in program.tiers:
            for scheme, rule in _rules(programme, *_LEAST, "transaction_count", "other_activity"):
                least = min(
                    (r.minimum for r in tier.rules if r.reward_point == rule.reward_point and r.minimum > 0),
                    default=None,
                )
                if scheme.program == program.id and rule.tier == tier.id and least is not None and rule.points >= least:
                    yield (
                        f"programs[{program.id}].tiers[{tier.id}]: keeps itself for ever, basket: in {tier.id}, "
                        f"{_basket(rule)} within each window; {rule.id} gives {_number(rule.points)} "
                        f"{rule.reward_point} for it, and {_number(least)} are enough"
                    )
                    break


def _basket(rule: EarningRule) -> str:
    if rule.activity == "other_activity":
        return f"one {rule.activity_type}"
    return "one purchase" if rule.activity == "transaction_count" else f"one purchase of {_amount(rule, rule.per)}"


def _amount(rule: EarningRule | RedemptionRule, size: Decimal) -> str:
    return f"{size.quantize(Decimal('0.01'))} {rule.currency}" if rule.currency else f"{_number(size)} units"


def _number(value: Decimal) -> str:
    return f"{value.normalize():f}"

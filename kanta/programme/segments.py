"""Segment maps: from recency, frequency and monetary scores (1 to 5 each) to the name of a segment (spec 5-rfm)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from kanta.programme.model import SegmentRange

#: The segment of a triple that no line of a map covers.
OTHERS = "Others"

#: All 125 triples, each exactly once.
_CHAMPIONS_125 = {
    "Champions": "555 554 544 545 454 455 445",
    "Loyal": "543 444 435 355 354 345 344 335",
    "Potential Loyalist": (
        "553 551 552 541 542 533 532 531 452 451 442 441 431 453 433 432 423 353 352 351 342 341 333 323"
    ),
    "New": "512 511 422 421 412 411 311",
    "Promising": "525 524 523 522 521 515 514 513 425 424 413 414 415 315 314 313",
    "Need Attention": "535 534 443 434 343 334 325 324",
    "About To Sleep": "331 321 312 221 213 231 241 251",
    "At Risk": "255 254 245 244 253 252 243 242 235 234 225 224 153 152 145 143 142 135 134 133 125 124",
    "Cannot Lose": "155 154 144 214 215 115 114 113",
    "Hibernating": "332 322 233 232 223 222 132 123 122 212 211",
    "Lost": "111 112 121 131 141 151",
}

#: The ranges of the R package rfm: recency, frequency, monetary; the first match wins.
_R_RFM = (
    ("Champions", (5, 5), (5, 5), (5, 5)),
    ("Potential Loyalist", (3, 5), (3, 5), (2, 5)),
    ("Loyal Customers", (2, 4), (2, 4), (2, 4)),
    ("Promising", (3, 4), (1, 3), (3, 5)),
    ("New Customers", (4, 5), (1, 3), (1, 5)),
    ("Can't Lose Them", (1, 2), (3, 4), (4, 5)),
    ("At Risk", (1, 2), (2, 5), (4, 5)),
    ("Need Attention", (1, 3), (3, 5), (3, 5)),
    ("About To Sleep", (2, 3), (1, 3), (1, 4)),
    ("Lost", (1, 1), (1, 5), (1, 5)),
)

Triple = tuple[int, int, int]

TRIPLES: tuple[Triple, ...] = tuple(product(range(1, 6), range(1, 6), range(1, 6)))

BUILT_IN: dict[str, tuple[SegmentRange, ...]] = {
    "champions_125": tuple(
        SegmentRange(segment=name, recency=(r, r), frequency=(f, f), monetary=(m, m))
        for name, triples in _CHAMPIONS_125.items()
        for r, f, m in (map(int, triple) for triple in triples.split())
    ),
    "r_rfm": tuple(SegmentRange(segment=name, recency=r, frequency=f, monetary=m) for name, r, f, m in _R_RFM),
}


def matches(ranges: Sequence[SegmentRange], triple: Triple) -> Iterator[str]:
    """The names of all lines that cover a triple, in order."""
    for line in ranges:
        bounds = (line.recency, line.frequency, line.monetary)
        if all(low <= score <= high for score, (low, high) in zip(triple, bounds, strict=True)):
            yield line.segment


def segment_map(segments: str | Sequence[SegmentRange]) -> dict[Triple, str]:
    """The segment of each of the 125 triples, by a built-in map's name or by ranges; no match: ``Others``."""
    ranges = BUILT_IN[segments] if isinstance(segments, str) else segments
    return {triple: next(matches(ranges, triple), OTHERS) for triple in TRIPLES}

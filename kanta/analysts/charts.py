"""The page's figures, each from one answer of :class:`kanta.analysts.data.Published`; plotly, drawn by the browser."""

from __future__ import annotations

import json
from html import escape
from typing import Any

import plotly.graph_objects as go
import pyarrow as pa

#: Blue for much, as in the night's report.
SCALE = "Blues"
COLOURS = ("#3b6fb6", "#e08b3a", "#4f9d69", "#c0504d", "#8064a2", "#8c6d4f", "#d387b4", "#7f7f7f", "#b5b548", "#4bacc6")

Rows = list[dict[str, Any]]


def _figure(*traces: Any, title: str, height: int = 420, **layout: Any) -> go.Figure:
    figure = go.Figure(data=list(traces))
    figure.update_layout(
        title={"text": title, "x": 0, "font": {"size": 15}},
        height=height,
        margin={"l": 50, "r": 20, "t": 45, "b": 45}, template="plotly_white", colorway=COLOURS,
        **layout,
    )  # fmt: skip
    return figure


def _rows(table: pa.Table) -> Rows:
    """The rows with their texts escaped: plotly takes tags and links in any text of a figure, names and titles too."""
    return [
        {name: escape(value, quote=False) if isinstance(value, str) else value for name, value in row.items()}
        for row in table.to_pylist()
    ]


def _floats(rows: Rows, name: str) -> list[float]:
    return [float(row[name] or 0) for row in rows]


def trend(table: pa.Table, measure: str, title: str) -> go.Figure:
    """One band for each segment over the dates."""
    rows: Rows = _rows(table)
    days = sorted({row["as_of"] for row in rows})
    bands = []
    for segment in sorted({row["segment"] for row in rows}):
        by_day = {row["as_of"]: float(row[measure]) for row in rows if row["segment"] == segment}
        bands.append(
            go.Scatter(
                x=days, y=[by_day.get(day, 0) for day in days], name=segment, mode="lines+markers", stackgroup="all"
            )
        )
    return _figure(*bands, title=title)


def treemap(table: pa.Table) -> go.Figure:
    """Area: customers; colour: money of each."""
    rows: Rows = _rows(table)
    tree = go.Treemap(
        labels=[row["segment"] for row in rows], parents=[""] * len(rows), root={"color": "white"},
        values=_floats(rows, "customers"),
        marker={"colors": _floats(rows, "revenue_each"), "colorscale": SCALE, "showscale": True,
                "colorbar": {"title": {"text": "revenue each"}}},
        customdata=[[str(row["revenue"]), str(row["percent"])] for row in rows],
        hovertemplate="%{label}<br>%{value} customers (%{customdata[1]} %)<br>revenue %{customdata[0]}<extra></extra>",
        texttemplate="%{label}<br>%{value}",
    )  # fmt: skip
    return _figure(tree, title="Segments by customers; colour is revenue of each")


def grid(table: pa.Table, measure: str, title: str) -> go.Figure:
    """Recency upwards, frequency to the right."""
    rows: Rows = _rows(table)
    recency, frequency = (range(1, max([5, *(row[name] for row in rows)]) + 1) for name in ("r", "f"))
    found = {(row["r"], row["f"]): float(row[measure]) for row in rows}
    cells = [[found.get((r, f)) for f in frequency] for r in recency]
    heat = go.Heatmap(
        x=[f"F{f}" for f in frequency], y=[f"R{r}" for r in recency], z=cells, colorscale=SCALE,
        texttemplate="%{z:,.0f}", hovertemplate="%{y} %{x}: %{z:,.2f}<extra></extra>",
    )  # fmt: skip
    return _figure(heat, title=title)


def flows(table: pa.Table) -> go.Figure:
    """A Sankey diagram: segments on the earlier date to the left, on the later to the right.

    Drawn as ribbons, because plotly's own Sankey does not draw inside a web component, where marimo puts figures.
    """
    rows: Rows = [row for row in _rows(table) if row["customers"]]
    sides = [_stacked(rows, "from_segment"), _stacked(rows, "to_segment")]
    names = sorted({*sides[0], *sides[1]})
    colour = {name: COLOURS[at % len(COLOURS)] for at, name in enumerate(names)}
    filled = [{name: low for name, (low, _) in side.items()} for side in sides]
    curve = [(step / 20, (step / 20) ** 2 * (3 - step / 10)) for step in range(21)]
    ribbons = []
    for row in sorted(rows, key=lambda row: (row["from_segment"], row["to_segment"])):
        start, end, size = filled[0][row["from_segment"]], filled[1][row["to_segment"]], row["customers"]
        filled[0][row["from_segment"]] += size
        filled[1][row["to_segment"]] += size
        lower = [(x, start + (end - start) * share) for x, share in curve]
        outline = lower + [(x, y + size) for x, y in reversed(lower)]
        ribbons.append(
            go.Scatter(
                x=[x for x, _ in outline], y=[y for _, y in outline], fill="toself", mode="lines", hoveron="fills",
                line={"width": 0}, fillcolor=f"rgba{(*_rgb(colour[row['from_segment']]), 0.4)}", showlegend=False,
                text=f"{_named(row['from_segment'])} → {_named(row['to_segment'])}: {size:,} customers",
                hoverinfo="text",
            )
        )  # fmt: skip
    figure = _figure(
        *ribbons, title="From segment to segment, in customers", height=560,
        xaxis={"visible": False, "range": [-0.45, 1.45]}, yaxis={"visible": False, "autorange": "reversed"},
    )  # fmt: skip
    for side, (x, anchor) in zip(sides, ((0.0, "right"), (1.0, "left")), strict=True):
        for name, (low, high) in side.items():
            figure.add_shape(
                type="rect", x0=x - 0.012, x1=x + 0.012, y0=low, y1=high, fillcolor=colour[name], line_width=0
            )
            figure.add_annotation(
                x=x + (0.02 if x else -0.02), y=(low + high) / 2, text=f"{_named(name)} {high - low:,.0f}",
                xanchor=anchor, showarrow=False, font={"size": 11},
            )  # fmt: skip
    return figure


def _stacked(rows: Rows, side: str) -> dict[str, tuple[float, float]]:
    """Where each segment of one side begins and ends, one below the other with a gap between."""
    sizes: dict[str, int] = {}
    for row in rows:
        sizes[row[side]] = sizes.get(row[side], 0) + row["customers"]
    gap = sum(sizes.values()) * 0.02
    places, top = {}, 0.0
    for name in sorted(sizes):
        places[name] = (top, top + sizes[name])
        top += sizes[name] + gap
    return places


def _named(segment: str) -> str:
    return segment or "(not scored)"


def _rgb(colour: str) -> tuple[int, ...]:
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def causes(table: pa.Table) -> go.Figure | None:
    """The largest moves, each split into what caused it; none where the dates do not follow each other."""
    rows = [row for row in _rows(table) if row["own_recency"] is not None][:12]
    if not rows:
        return None
    names = {
        "own_recency": "own recency", "own_frequency": "own frequency", "own_money": "own money",
        "moving_thresholds": "moving thresholds",
    }  # fmt: skip
    moves = [f"{row['from_segment']} → {row['to_segment']}" for row in rows]
    bars = [go.Bar(y=moves, x=_floats(rows, column), name=name, orientation="h") for column, name in names.items()]
    return _figure(
        *bars, title="What caused the largest moves, in customers", height=480, barmode="relative",
        yaxis={"autorange": "reversed", "automargin": True},
    )  # fmt: skip


def thresholds(table: pa.Table) -> go.Figure:
    """How many customers have each score; a score nobody has stands out as none."""
    rows: Rows = [row for row in _rows(table) if row["within"] == ""] or _rows(table)
    bars = []
    for measure in ("recency", "frequency", "monetary"):
        own = [row for row in rows if row["measure"] == measure]
        bars.append(
            go.Bar(
                x=[row["score"] for row in own], y=_floats(own, "customers"), name=measure,
                customdata=[[str(row["lowest"]), str(row["highest"])] for row in own],
                hovertemplate="%{customdata[0]} to %{customdata[1]}: %{y} customers<extra></extra>",
            )
        )  # fmt: skip
    return _figure(*bars, title="Customers by score", barmode="group", xaxis={"title": {"text": "score"}, "dtick": 1})


def cohorts(table: pa.Table) -> go.Figure:
    """Share of each cohort that bought again, month by month."""
    rows: Rows = _rows(table)
    months = sorted({row["cohort_month"] for row in rows})
    numbers = range(max((row["month_no"] for row in rows), default=0) + 1)
    found = {(row["cohort_month"], row["month_no"]): 100 * float(row["retention"]) for row in rows}
    heat = go.Heatmap(
        x=[f"+{n}" for n in numbers], y=[f"{month:%Y-%m}" for month in months],
        z=[[found.get((month, n)) for n in numbers] for month in months], colorscale=SCALE, zmin=0, zmax=100,
        texttemplate="%{z:.0f}", hovertemplate="%{y} %{x}: %{z:.1f} %<extra></extra>",
    )  # fmt: skip
    return _figure(
        heat, title="Percent of a month's new customers who bought in the months after", yaxis={"type": "category"}
    )


def alive(table: pa.Table) -> go.Figure:
    rows: Rows = _rows(table)
    bars = go.Bar(x=_floats(rows, "p_alive_from"), y=_floats(rows, "customers"), width=0.045)
    return _figure(
        bars,
        title="Customers by probability of still being one",
        xaxis={"title": {"text": "P(alive)"}, "range": [0, 1]},
    )


def deciles(diagnostics: str | None) -> go.Figure | None:
    """Foretold and real purchases of the holdout, customers from least to most expected."""
    holdout = json.loads(diagnostics or "{}").get("holdout")
    if not holdout:
        return None
    number = [str(at) for at in range(1, 11)]
    bars = [
        go.Bar(x=number, y=[tenth[key] for tenth in holdout["deciles"]], name=name)
        for key, name in (("expected", "foretold"), ("bought", "bought"))
    ]
    return _figure(
        *bars, title=f"The last {holdout['days']} days, foretold from what came before", barmode="group",
        xaxis={"title": {"text": "tenth of the customers"}},
    )  # fmt: skip


def points(table: pa.Table) -> list[go.Figure]:
    """For each reward point, when what members hold of it expires: usable, vesting, or never redeemable."""
    rows: Rows = _rows(table)
    in_order = {"type": "category", "categoryorder": "category ascending"}  # "never" last
    figures = []
    for point in sorted({row["reward_point_id"] for row in rows}):
        own = [row for row in rows if row["reward_point_id"] == point]
        months = [f"{row['expires_in']:%Y-%m}" if row["expires_in"] else "never" for row in own]
        bars = [
            go.Bar(x=months, y=_floats(own, name), name=name.replace("_", " "))
            for name in ("usable", "vesting", "not_redeemable")
            if any(row[name] for row in own)
        ]
        figures.append(_figure(*bars, title=f"Outstanding {point} by month of expiry", barmode="stack", xaxis=in_order))
    return figures


def tiers(table: pa.Table) -> go.Figure:
    rows: Rows = _rows(table)
    lines = []
    for program, _, tier in sorted({(row["program_id"], row["level"], row["tier_id"]) for row in rows}):
        own = [row for row in rows if (row["program_id"], row["tier_id"]) == (program, tier)]
        lines.append(
            go.Scatter(
                x=[row["day"] for row in own], y=_floats(own, "cards"), name=f"{tier} ({program})", mode="lines+markers"
            )
        )  # fmt: skip
    return _figure(*lines, title="Cards by effective tier", yaxis={"rangemode": "tozero"})


def expiring(table: pa.Table) -> go.Figure:
    rows: Rows = _rows(table)
    bars = []
    for point in sorted({row["reward_point_id"] for row in rows}):
        own = [row for row in rows if row["reward_point_id"] == point]
        bars.append(
            go.Bar(
                x=[f"within {row['days']} days" for row in own], y=_floats(own, "points"), name=point,
                customdata=[row["cards"] for row in own],
                hovertemplate="%{x}: %{y:,.2f} points of %{customdata:,} cards<extra></extra>",
            )
        )  # fmt: skip
    return _figure(*bars, title="Points that expire soon", barmode="group", xaxis={"type": "category"})


def outlooks(table: pa.Table) -> go.Figure:
    """One bar for each tier that can be reached or must be kept, in bands by how much is lacking."""
    rows: Rows = _rows(table)
    bands = []
    for lacks in ("nothing", "up to a fifth", "up to a half", "more"):
        own = [row for row in rows if row["lacks"] == lacks]
        bands.append(
            go.Bar(
                y=[f"{row['outlook']} {row['tier_id']} ({row['program_id']})" for row in own], x=_floats(own, "cards"),
                name=f"lacks {lacks}", orientation="h",
            )
        )  # fmt: skip
    return _figure(
        *bands, title="Cards by what they lack for a tier", barmode="stack",
        xaxis={"title": {"text": "cards"}}, yaxis={"autorange": "reversed", "automargin": True},
    )  # fmt: skip


def liability(table: pa.Table) -> list[go.Figure]:
    """For each reward point what was owed at the end of each month, in bands by the month it was earned in."""
    rows: Rows = _rows(table)
    figures = []
    for point in sorted({row["reward_point_id"] for row in rows}):
        own = [row for row in rows if row["reward_point_id"] == point and row["cohort"]]
        months = sorted({row["month"] for row in own})
        bars = []
        for cohort in sorted({row["cohort"] for row in own}):
            closing = {row["month"]: float(row["closing"]) for row in own if row["cohort"] == cohort}
            bars.append(go.Bar(x=months, y=[closing.get(month) for month in months], name=f"earned {cohort:%Y-%m}"))
        figures.append(_figure(*bars, title=f"Outstanding {point} by month of earning", barmode="stack"))
    return figures


def story(purchases: pa.Table) -> go.Figure:
    rows: Rows = _rows(purchases)
    bars = go.Bar(
        x=[row["business_date"] for row in rows], y=_floats(rows, "net_amount"),
        customdata=[[row["transaction_id"], row["channel_id"]] for row in rows],
        hovertemplate="%{x}: %{y:.2f}<br>%{customdata[0]}, %{customdata[1]}<extra></extra>",
    )  # fmt: skip
    return _figure(bars, title="Purchases and returns", height=300)

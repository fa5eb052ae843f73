"""The analysts' page, a marimo app: filters above, one view below, the link in the address bar restores both."""

import marimo

app = marimo.App(width="full", app_title="Kanta for analysts")


@app.cell
def _():
    import marimo as mo

    from kanta.analysts.data import TRAITS, Filters, published
    from kanta.analysts.downloads import FORMS
    from kanta.analysts.views import SHOWN, VIEWS
    from kanta.home import Home

    with mo.status.spinner(title="Opening the newest publication", remove_on_exit=True):
        book = published(Home.default())
    asked = {name: str(value) for name, value in mo.query_params().to_dict().items()}
    return FORMS, SHOWN, Filters, TRAITS, VIEWS, asked, book, mo


@app.cell
def _(VIEWS, asked, book, mo):
    def _chosen(name, options, default):
        return asked.get(name) if asked.get(name) in options else default

    _definitions = book.definitions()
    mo.stop(not _definitions, mo.md("Nothing is scored yet. Next: `kanta run --date D`, with `rfm` in the programme."))
    view = mo.ui.radio(
        {title: name for name, (title, _) in VIEWS.items()},
        value=VIEWS[_chosen("view", VIEWS, "overview")][0],
        inline=True,
    )
    definition = mo.ui.dropdown(
        _definitions, value=_chosen("definition", _definitions, _definitions[0]), label="definition"
    )
    return definition, view


@app.cell
def _(TRAITS, asked, book, definition, mo):
    def _dropdown(name, options, default):
        _value = asked.get(name) if asked.get(name) in options else default
        return mo.ui.dropdown(options, value=_value, label=name.replace("_", " "), searchable=len(options) > 12)

    _dates = {str(day): day for day in book.dates(definition.value)}
    as_of = _dropdown("as_of", _dates, next(iter(_dates)))
    before = _dropdown("before", _dates, list(_dates)[min(1, len(_dates) - 1)])
    with mo.status.spinner(title="Counting customers; once for each publication", remove_on_exit=True):
        _options = {trait: ["all", *book.traits(trait, definition.value)] for trait in TRAITS}
    traits = mo.ui.dictionary({trait: _dropdown(trait, options, "all") for trait, options in _options.items()})
    customer = mo.ui.text(value=asked.get("customer", ""), label="customer", placeholder="customer id")
    return as_of, before, customer, traits


@app.cell
def _(as_of, before, customer, definition, mo, traits, view):
    _more = {"migrations": [before], "customer": [customer]}.get(view.value, [])
    mo.vstack(
        [
            mo.hstack([mo.md("# Kanta"), view], justify="start", align="center", gap=2),
            mo.hstack([definition, as_of, *_more, *traits.elements.values()], justify="start", wrap=True, gap=1),
        ]
    )
    return


@app.cell
def _(as_of, before, customer, definition, mo, traits, view):
    # The address bar says what is shown; nothing here is bound to a name, so nothing runs again for it.
    for _name, _value in {
        "view": view.value,
        "definition": definition.value,
        "as_of": str(as_of.value),
        "before": str(before.value) if view.value == "migrations" else None,
        "customer": customer.value if view.value == "customer" else None,
        **{name: value if value != "all" else None for name, value in traits.value.items()},
    }.items():
        if (mo.query_params().get(_name) or None) != (_value or None):
            mo.query_params().set(_name, _value or None)
    return


@app.cell
def _(FORMS, Filters, SHOWN, VIEWS, as_of, before, book, customer, definition, mo, traits, view):
    _traits = {name: value if value != "all" else "" for name, value in traits.value.items()}
    _before = before.value if before.value != as_of.value else None
    _at = Filters(definition.value, as_of.value, _before, **_traits)

    def _downloads(name, whole):
        return mo.hstack(
            [
                mo.download(
                    data=lambda write=write: write(whole()),
                    filename=f"{name}.{form}",
                    mimetype=media_type,
                    label=f"{name}.{form}",
                )
                for form, (write, media_type) in FORMS.items()
            ],
            justify="start",
        )

    def _shown(section):
        _parts = [mo.md(section.note)] if section.note else []
        _parts += [mo.hstack([mo.ui.plotly(figure) for figure in section.figures], widths="equal", wrap=True)]
        if section.list is not None:
            _rows = section.list.slice(0, SHOWN).to_pylist()
            _cells = [{key: "" if value is None else value for key, value in row.items()} for row in _rows]
            if _cells:
                _parts.append(
                    mo.ui.table(
                        _cells, selection=None, page_size=10, show_column_summaries=False, show_data_types=False,
                        show_download=False,
                    )
                )  # fmt: skip
            _all = section.list.num_rows if section.rows is None else section.rows
            _more = f", the first {len(_rows):,} shown" if len(_rows) < _all else ""
            _parts.append(
                mo.hstack(
                    [mo.md(f"{_all:,} rows{_more}"), _downloads(section.name, section.whole or (lambda: section.list))],
                    justify="start",
                    gap=2,
                )
            )
        return mo.vstack(_parts)

    with mo.status.spinner(title=f"Working out: {VIEWS[view.value][0]}", remove_on_exit=True):
        _sections = list(VIEWS[view.value][1](book, _at, customer.value.strip()))
    mo.vstack([_shown(section) for section in _sections], gap=2)
    return


if __name__ == "__main__":
    app.run()

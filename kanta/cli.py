"""The command line: ``kanta …`` (spec 1-interfaces section 1). Exit codes: 0 done, 1 failed, 2 bad input, 3 look."""

from __future__ import annotations

import argparse
import atexit
import gc
import io
import json
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from datetime import date
from decimal import Decimal, InvalidOperation
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

from kanta import OBJECTS, __version__
from kanta.errors import BadArguments, KantaError
from kanta.home import PRIVATE, Home

DONE, FAILED, BAD, LOOK = 0, 1, 2, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code. Errors are printed with what, where and the next step."""
    _speak()
    os.umask(PRIVATE)
    parser = _parser()
    options = parser.parse_args(arguments)
    if arguments is not None:
        return _carried_out(options)
    _lighten(options)
    code = _carried_out(options)
    if options.run is _run:
        _end(code)
    return code


def _speak() -> None:
    """Lets a console that has no sign for a letter show its number instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="backslashreplace")


def _carried_out(options: argparse.Namespace) -> int:
    try:
        words = [value for value in vars(options).values() if isinstance(value, str)]
        if any("\ud800" <= letter <= "\udfff" for word in words for letter in word):  # bytes that are no UTF-8
            raise BadArguments("A word of the command is no text in UTF-8", next_step="kanta COMMAND --help")
        return int(options.run(options))
    except KantaError as error:
        return _failed(error, options)
    except BrokenPipeError:
        sys.stderr.close()
        return DONE
    except OSError as error:
        what, where = f"The system refused: {error.strerror or error}", str(error.filename or "")
        return _failed(KantaError(what, where=where, next_step=_MAKE_ROOM), options)
    except Exception as error:  # each library that writes says in its own way that the disk took no more
        said = next((line for line in str(error).splitlines() if any(full in line for full in _FULL)), None)
        if said is None:
            if os.environ.get(_TRACEBACK):
                raise
            first = next(iter(str(error).splitlines()), "")
            what = f"Kanta failed in a way it does not know: {type(error).__name__}: {first}"
            next_step = f"{_TRACEBACK}=1 before the command shows where; tell those who look after Kanta"
            return _failed(KantaError(what, next_step=next_step), options)
        return _failed(KantaError(f"The disk takes no more: {said}", next_step=_MAKE_ROOM), options)
    except KeyboardInterrupt:
        print("Stopped. What was not whole does not count: run the same command again.", file=sys.stderr)
        return FAILED


def _lighten(options: argparse.Namespace) -> None:
    """What a process of its own can do without."""
    gc.set_threshold(OBJECTS, 20, 20)
    if options.run is _run:
        sys.meta_path.insert(0, _WithoutPandas())


def _end(code: int) -> None:
    """Ends the process; to take half a million objects apart one by one would take another half second."""
    atexit._run_exitfuncs()
    with suppress(OSError, ValueError):  # nobody reads any more, or what was closed for that
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class _WithoutPandas(MetaPathFinder):
    """pyarrow loads pandas, half a second, to see whether its first list is one of it, and can do without."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("kanta run goes without pandas", name=name)


#: With this environment variable an error nobody foresaw is shown with its traceback.
_TRACEBACK = "KANTA_TRACEBACK"
_MAKE_ROOM = "make room or give the right to it, then run the same command again"
_FULL = ("No space left on device", "disk is full", "Disk quota exceeded", "File too large")


def _failed(error: KantaError, options: argparse.Namespace) -> int:
    """Says what went wrong, as asked; returns the exit code."""
    if getattr(options, "json", False):
        print(json.dumps({"error": error.what, "where": error.where, "next": error.next_step}))
    else:
        print("\n".join(error.lines()), file=sys.stderr)
    return error.exit_code


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date; write it as 2026-11-20") from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kanta",
        description="A nightly loyalty pipeline for retailers.",
        epilog="The home directory is KANTA_HOME, else data/ in the repository. Exit codes: 0 done, 1 the work failed,"
        " 2 bad arguments or programme, 3 finished but something was set aside or is missing and needs a look.",
    )
    parser.add_argument("--version", action="version", version=f"kanta {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Any, about: str, parent: Any = commands) -> argparse.ArgumentParser:
        found: argparse.ArgumentParser = parent.add_parser(name, help=about, description=about)
        found.set_defaults(run=run)
        found.add_argument("--quiet", action="store_true", help="print only what went wrong")
        found.add_argument("--json", action="store_true", help="print the result as one JSON document")
        return found

    def group(name: str, about: str) -> Any:
        found = commands.add_parser(name, help=about, description=about)
        return found.add_subparsers(title="commands", metavar="COMMAND", required=True)

    demo = command("demo", _demo, "build a home from the sample feed, run every night of it, show what came out")
    demo.add_argument("--home", type=Path, help="where to build it (default: the home directory)")
    demo.add_argument("--airflow", action="store_true", help="the last night goes through the real DAGs")

    run = command("run", _run, "the nightly work for one business date, or for a range as one run")
    run.add_argument("--date", type=_date, help="the business date")
    run.add_argument("--from", dest="first", type=_date, metavar="DATE", help="first business date of a range")
    run.add_argument("--to", dest="last", type=_date, metavar="DATE", help="last business date of a range")
    run.add_argument("--stage", help="only this stage of the night")
    run.add_argument("--each-night", action="store_true", help="a range as so many nights, each published by itself")

    query = command("query", _query, "SQL (DuckDB) over all tables of the lake")
    query.add_argument("sql", metavar="SQL")
    query.add_argument("--format", choices=("table", "csv", "json", "parquet"), default="table")
    query.add_argument("--output", type=Path, metavar="FILE", help="write there instead of printing")
    query.add_argument("--as-of", type=_date, metavar="DATE", help="as the lake stood after the night of DATE")
    query.add_argument("--nearest", action="store_true", help="where that night is not kept, the last kept before it")
    query.add_argument("--exact", action="store_true", help="in a CSV file also what a spreadsheet would run")

    explain = command("explain", _explain, "where every point of a card, transaction or entry comes from")
    explain.add_argument("kind", choices=("card", "transaction", "entry"))
    explain.add_argument("id")
    explain.add_argument("--as-of", type=_date, metavar="DATE", help="as the lake stood after the night of DATE")
    explain.add_argument("--nearest", action="store_true", help="where that night is not kept, the last kept before it")

    verify = command("verify", _verify, "check the ledger's invariants and the lake's own integrity")
    verify.add_argument("--all", action="store_true", help="also replay the ledger and prove the stores")

    replay = command(
        "replay", _replay, "derive all loyalty state again from the facts and compare with what is published"
    )
    replay.add_argument("--dry-run", action="store_true", help="only list the differences; post no corrections")

    programme = group("programme", "the business rules")
    check = command("check", _programme_check, "validate a programme; print every problem at once", programme)
    check.add_argument("dir", nargs="?", type=Path, help="its directory (default: the home's)")

    diff = command(
        "diff", _programme_diff, "how many points a changed programme would move; nothing is written", programme
    )
    diff.add_argument("dir", nargs="?", type=Path, help="its directory (default: the home's)")

    simulate = command("simulate", _simulate, "another programme over the real history, beside the published one")
    simulate.add_argument("--programme", type=Path, required=True, metavar="DIR", help="the other programme")
    simulate.add_argument(
        "--from", dest="first", type=_date, metavar="DATE", help="count from (default: the beginning)"
    )
    simulate.add_argument("--to", dest="last", type=_date, metavar="DATE", help="count up to (default: the last night)")
    simulate.add_argument("--output", type=Path, metavar="FILE", help="the page (default: reports/simulation.html)")

    tiers = group("tiers", "tiers of loyalty cards")
    again = command("reevaluate", _tiers_reevaluate, "evaluate tiers as if points had changed on a date", tiers)
    again.add_argument("--date", type=_date, required=True, help="the business date whose rules judge")
    again.add_argument("--card", metavar="ID", help="only this card (default: everyone)")

    quarantine = group("quarantine", "rows and files that were refused")
    listed = command("list", _quarantine_list, "what was set aside and why", quarantine)
    listed.add_argument("--status", choices=("open", "released", "dismissed", "superseded", "all"), default="open")
    show = command("show", _quarantine_show, "one of them, with the row as it came", quarantine)
    show.add_argument("id")
    release = command("release", _quarantine_release, "put it through again, corrected", quarantine)
    release.add_argument("id")
    release.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="COLUMN=VALUE",
        help="a corrected value (may be repeated); of another row of the record: tenders.1.amount=10.00",
    )

    dismiss = command("dismiss", _quarantine_dismiss, "close what will not be released", quarantine)
    dismiss.add_argument("id", nargs="*", metavar="ID", help="a row, or transaction/card/reason")
    dismiss.add_argument("--reason", required=True, metavar="TEXT", help="why; kept with the decision")
    dismiss.add_argument("--rule", help="only what this rule set aside, or effects on points of this reason")
    dismiss.add_argument("--source", help="only of this store, call center or head office")
    dismiss.add_argument("--date", type=_date, metavar="DATE", help="only of this business date")

    customers = group("customers", "the customer master")
    erase = command("erase", _customers_erase, "blank a customer's person everywhere under the home", customers)
    erase.add_argument("id", help="account number or GUID")

    distribution = group("distribution", "store packages")
    status = command("status", _distribution_status, "sessions and what stores have acknowledged", distribution)
    status.add_argument("--database", help="only this store database")
    retry = command(
        "retry", _distribution_retry, "let what failed, was suspended or canceled be sent again", distribution
    )
    retry.add_argument("database")
    retry.add_argument("job", nargs="?", help="only this job (default: all)")
    cancel = command("cancel", _distribution_cancel, "end a session and take its package back", distribution)
    cancel.add_argument("database")
    cancel.add_argument("job")
    cancel.add_argument("sequence", type=int)
    full = command("full-sync", _distribution_full_sync, "send a store everything it is to hold", distribution)
    full.add_argument("database")
    full.add_argument("job", nargs="?", help="only this job (default: all)")
    prove = command(
        "prove", _distribution_prove, "compare what each store holds, by whatever packages, with the lake", distribution
    )
    prove.add_argument("--database", help="only this store database")

    store = group("store", "the reference receiver of store packages")
    apply = command("apply", _store_apply, "apply packages to a store's database and acknowledge them", store)
    apply.add_argument("packages", nargs="+", type=Path, metavar="PACKAGE")
    apply.add_argument("--database", type=Path, required=True, metavar="FILE", help="the store's DuckDB file")
    apply.add_argument(
        "--inbox", type=Path, metavar="DIR", help="where acknowledgements go (default: the home's inbox)"
    )
    apply.add_argument(
        "--verify", action="append", default=[], metavar="KEY", help="head office's public key (may be repeated)"
    )
    apply.add_argument("--identity", metavar="NAME", help="the store's age identity, as env:NAME")
    apply.add_argument("--sign", metavar="NAME", help="the store's own private key, as env:NAME")
    balance = command("balance", _store_balance, "what a card holds, from the store's own database", store)
    balance.add_argument("card")
    balance.add_argument("--database", type=Path, required=True, metavar="FILE")

    report = command("report", _report, "one self-contained HTML page of a night")
    report.add_argument("--date", type=_date, help="the business date (default: the last published night)")
    report.add_argument("--output", type=Path, metavar="FILE")

    audience = command("audience", _audience, "a consented, deduplicated list for a campaign, and who was left out")
    audience.add_argument(
        "condition", metavar="SQL", help="a condition on one customer: segment = 'Champions' and r >= 4"
    )
    audience.add_argument("--channel", choices=("email", "phone"), required=True)
    audience.add_argument(
        "--definition", metavar="ID", help="the RFM definition whose scores count (default: the first)"
    )
    audience.add_argument(
        "--control", type=_percent, default=Decimal(0), metavar="PERCENT", help="held back to compare"
    )
    audience.add_argument("--campaign", default="", metavar="NAME", help="another name, another control group")
    audience.add_argument(
        "--suppress", action="append", default=[], type=Path, metavar="FILE",
        help="CSV of contacts or customers not to be written to (columns value, reason); may be repeated",
    )  # fmt: skip
    audience.add_argument("--output", type=Path, metavar="FILE", help="write the list there as CSV instead of printing")

    analysts = command("analysts", _analysts, "serve the analysts' page on this machine")
    analysts.add_argument("--port", type=int, default=2718)
    analysts.add_argument("--no-browser", action="store_true", help="only say where it is")
    analysts.add_argument("--no-token", action="store_true", help="whoever reaches it may read (behind a proxy)")

    maintenance = command("maintenance", _maintenance, "compaction, snapshot expiry, removal of leftovers")
    maintenance.add_argument(
        "--keep", type=int, default=30, metavar="N", help="publications kept for --as-of, besides each month's last"
    )
    return parser


def _demo(options: argparse.Namespace) -> int:
    from kanta import demo

    home = Home(options.home.resolve()) if options.home else Home.default()
    return demo.run(home, quiet=options.quiet, as_json=options.json, airflow=options.airflow)


def _run(options: argparse.Namespace) -> int:
    from kanta import quality

    if options.date and (options.first or options.last):
        raise BadArguments("--date and --from/--to exclude each other", next_step="kanta run --help")
    first, last = options.first or options.date, options.last or options.date
    if not first or not last:
        raise BadArguments("kanta run needs --date, or both --from and --to", next_step="kanta run --date 2026-11-20")
    if first > last:
        raise BadArguments(f"--from {first} is after --to {last}", next_step=f"kanta run --from {last} --to {first}")
    home = Home.default()
    with nullcontext() if options.stage else quality.Judge() as judge:  # gets ready while the rest is still loading
        from kanta import night

        reporter = night.Reporter(quiet=options.quiet or options.json)
        if judge:
            result = night.run(home, first, last, each_night=options.each_night, reporter=reporter, judge=judge)
        elif options.stage in night.STAGE_NAMES:
            result = {options.stage: night.run_stage(home, options.stage, last, reporter=reporter)}
        else:
            raise BadArguments(f"There is no stage {options.stage}", next_step=f"one of {', '.join(night.STAGE_NAMES)}")
        if options.json:
            print(json.dumps(result, default=str))
        return LOOK if night.needs_a_look(result) else DONE


def _query(options: argparse.Namespace) -> int:
    from kanta import reading

    reading.query(
        Home.default(),
        options.sql,
        form="json" if options.json else options.format,
        output=options.output,
        as_of=options.as_of,
        nearest=options.nearest,
        exact=options.exact,
        quiet=options.quiet,
    )
    return DONE


def _explain(options: argparse.Namespace) -> int:
    from kanta import explain

    explained = explain.explain(
        Home.default(), options.kind, options.id, as_of=options.as_of, nearest=options.nearest, quiet=options.quiet
    )
    print(json.dumps(explained, default=str, indent=1) if options.json else explain.text(explained))
    return DONE


def _verify(options: argparse.Namespace) -> int:
    from kanta import verify

    results = verify.verify(Home.default(), everything=options.all)
    if options.json:
        print(json.dumps([result.as_dict() for result in results], default=str))
    elif not options.quiet:
        print(verify.text(results))
    return FAILED if any(result.breaches for result in results) else DONE


def _replay(options: argparse.Namespace) -> int:
    from kanta import replay, verify

    result = replay.replay(Home.default(), dry_run=options.dry_run)
    if options.json:
        print(json.dumps(result.as_dict(), default=str))
    elif not options.quiet:
        print(verify.text([result]))
        if result.breaches and not options.dry_run:
            print("The differences were posted as corrections and published.")
    return FAILED if result.breaches and options.dry_run else DONE


def _programme_check(options: argparse.Namespace) -> int:
    from kanta import programme, reading

    folder = options.dir.resolve() if options.dir else Home.default().programme
    found = programme.load(folder)
    warnings = [*programme.warnings(found), *programme.check_against_hq(found, reading.hq_names(Home.default()))]
    if options.json:
        print(json.dumps({"programme": str(folder), "problems": [], "warnings": [str(w) for w in warnings]}))
    elif not options.quiet:
        for warning in warnings:
            print(f"warning: {warning}")
        print(f"{folder}: the programme is right.")
    return DONE


def _programme_diff(options: argparse.Namespace) -> int:
    from kanta import programme_diff

    moved = programme_diff.diff(Home.default(), options.dir)
    if options.json:
        print(json.dumps(moved, default=str))
    elif not options.quiet:
        print(programme_diff.text(moved))
    return DONE


def _simulate(options: argparse.Namespace) -> int:
    from kanta import simulate
    from kanta.night import Reporter

    home = Home.default()
    reporter = Reporter(quiet=options.quiet or options.json)
    found = simulate.simulate(home, options.programme, options.first, options.last, reporter.progress)
    page = simulate.write(home, found, options.output)
    if options.json:
        print(json.dumps({**found, "page": str(page)}, default=str))
    elif not options.quiet:
        print(f"{simulate.text(found)}\n{page}")
    return DONE


def _tiers_reevaluate(options: argparse.Namespace) -> int:
    from kanta import decisions

    done = decisions.reevaluate(Home.default(), options.date, options.card)
    if options.json:
        print(json.dumps(done))
    elif not options.quiet:
        print(f"{done['accounts']:,} accounts looked at, {done['accounts_again']:,} worked out again, published.")
    return DONE


def _quarantine_list(options: argparse.Namespace) -> int:
    from kanta import quarantine

    status = None if options.status == "all" else options.status
    rows = quarantine.listed(Home.default(), status)
    effects = quarantine.effects(Home.default(), status)
    if options.json:
        print(json.dumps(rows + effects, default=str))
    else:
        print(quarantine.table(rows + effects))
    return DONE


def _quarantine_show(options: argparse.Namespace) -> int:
    from kanta import quarantine

    row = quarantine.one(Home.default(), options.id)
    print(json.dumps(row, default=str, indent=None if options.json else 1))
    return DONE


def _quarantine_dismiss(options: argparse.Namespace) -> int:
    from kanta import quarantine

    closed = quarantine.dismiss(
        Home.default(), options.id, options.reason, rule=options.rule, source=options.source, day=options.date
    )
    if options.json:
        print(json.dumps(closed, default=str))
    elif not options.quiet:
        print(f"{len(closed):,} dismissed: kanta quarantine list --status dismissed")
    return DONE


def _quarantine_release(options: argparse.Namespace) -> int:
    from kanta import quarantine

    corrections = {}
    for item in options.set:
        column, separator, value = item.partition("=")
        if not separator:
            raise BadArguments(f"--set {item} has no =", next_step="--set COLUMN=VALUE")
        corrections[column] = value
    message = quarantine.release(Home.default(), options.id, corrections)
    if not options.quiet:
        print(json.dumps({"released": options.id, "message": message}) if options.json else message)
    return DONE


def _customers_erase(options: argparse.Namespace) -> int:
    from kanta.customers import erasure

    done = erasure.erase(Home.default(), options.id)
    if options.json:
        print(json.dumps(done))
    elif not options.quiet:
        print(
            f"Erased: {done['files']} files of the lake, {len(done['drops'])} drops, {done['pages']} pages and"
            f" {done['packages']} packages held the customer.  next: kanta verify"
        )
    for place in done["refused"]:
        print(f"Not looked into: {place}", file=sys.stderr)
    return LOOK if done["refused"] else DONE


def _distribution_status(options: argparse.Namespace) -> int:
    from kanta import distribution

    rows = distribution.status(Home.default(), options.database)
    if options.database and not rows:
        raise BadArguments(
            f"Nothing was ever sent to a store database {options.database}",
            where="distribution.sessions",
            next_step="kanta distribution status",
        )
    if options.json:
        print(json.dumps(rows, default=str))
    else:
        print(distribution.table(rows))
    return DONE


def _distribution_retry(options: argparse.Namespace) -> int:
    from kanta import distribution

    return _moved(options, distribution.retry(Home.default(), options.database, options.job))


def _distribution_cancel(options: argparse.Namespace) -> int:
    from kanta import distribution

    return _moved(options, distribution.cancel(Home.default(), options.database, options.job, options.sequence))


def _distribution_full_sync(options: argparse.Namespace) -> int:
    from kanta import distribution

    return _moved(options, distribution.full_sync(Home.default(), options.database, options.job))


def _moved(options: argparse.Namespace, sessions: Sequence[Any]) -> int:
    """Says which sessions moved; 1 when one of the database that was meant failed."""
    if options.json:
        print(json.dumps([{"package": s.name, "state": s.state, "detail": s.detail} for s in sessions]))
    elif not options.quiet:
        for session in sessions:
            told = ": ".join(filter(None, (session.reason, session.detail)))
            why = f" ({told})" if told else ""
            print(f"{session.name}  {session.state}{why}")
        if not sessions:
            print("Nothing moved.")
    mine = [session for session in sessions if session.database == options.database]
    return (
        FAILED if any(session.state == "suspended" or session.state.endswith("_failed") for session in mine) else DONE
    )


def _distribution_prove(options: argparse.Namespace) -> int:
    from kanta.distribution import proving

    found = proving.prove(Home.default(), options.database)
    if options.json:
        print(json.dumps([proved.as_dict() for proved in found]))
    elif not options.quiet:
        print(proving.text(found))
    return FAILED if any(proved.differences for proved in found) else DONE


def _store_apply(options: argparse.Namespace) -> int:
    from kanta import store
    from kanta.distribution import keys

    own = store.Keys(
        verify=tuple(options.verify),
        identity=keys.secret(options.identity) if options.identity else None,
        sign=options.sign,
    )
    results = store.apply(options.packages, options.database, options.inbox or Home.default().inbox, own)
    if options.json:
        print(json.dumps([result.as_dict() for result in results], default=str))
    elif not options.quiet:
        for result in results:
            print(result.line())
    return FAILED if any(result.failed for result in results) else DONE


def _store_balance(options: argparse.Namespace) -> int:
    from kanta import store_balance

    rows = store_balance.balance(options.database, options.card)
    print(json.dumps(rows, default=str) if options.json else store_balance.balance_text(options.card, rows))
    return DONE


def _report(options: argparse.Namespace) -> int:
    from kanta import report

    path = report.write(Home.default(), options.date, options.output)
    if options.json:
        print(json.dumps({"report": str(path)}))
    elif not options.quiet:
        print(path)
    return DONE


def _percent(text: str) -> Decimal:
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal(-1)
    if not 0 <= found < 100:
        raise argparse.ArgumentTypeError(f"{text!r} is no percentage from 0 to below 100")
    return found


def _audience(options: argparse.Namespace) -> int:
    from kanta import audience
    from kanta.analysts.downloads import csv

    found = audience.of(
        Home.default(), options.condition, options.channel, definition=options.definition, control=options.control,
        campaign=options.campaign, suppress=tuple(options.suppress),
    )  # fmt: skip
    said = {**found.counts(), "left_out": found.left_out, "warnings": list(found.warnings)}
    if options.output:
        options.output.write_bytes(csv(found.rows))
    if options.json:
        rows = {} if options.output else {"rows": found.rows.to_pylist()}
        print(json.dumps(said | rows, default=str))
        return DONE
    if not options.output:
        sys.stdout.write(csv(found.rows).decode())
    for warning in found.warnings:
        print(f"Warning: {warning}.", file=sys.stderr)
    if not options.quiet:
        print(", ".join(f"{number:,} {name}" for name, number in found.counts().items()), file=sys.stderr)
        for reason, number in found.left_out.items():
            print(f"  left out: {number:,} {reason}", file=sys.stderr)
    return DONE


def _analysts(options: argparse.Namespace) -> int:
    from kanta import analysts

    return analysts.serve(Home.default(), options.port, browser=not options.no_browser, token=not options.no_token)


def _maintenance(options: argparse.Namespace) -> int:
    from kanta import maintenance

    done = maintenance.run(Home.default(), keep=options.keep)
    if not options.quiet:
        print(json.dumps(done) if options.json else "\n".join(f"{name}: {count}" for name, count in done.items()))
    return DONE


if __name__ == "__main__":
    sys.exit(main())

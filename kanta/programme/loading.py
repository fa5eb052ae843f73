"""Reads a programme folder: all problems at once, each with file, line and key, or the programme (spec 1-interfaces
section 4)."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from kanta.contracts import SCHEMAS
from kanta.errors import BadProgramme
from kanta.programme import rules
from kanta.programme.model import Model, Programme, Settings, json_schema
from kanta.programme.reading import KeyPath, Node, Problem, merge, plain, problem_at, read, without
from kanta.programme.segments import BUILT_IN

SETTINGS = "settings.yaml"
HISTORY = "history"
SEGMENTS = "segments"

M = TypeVar("M", bound=Model)


def load(folder: Path, effective_from: date | None = None, *, conditions: bool = True) -> Programme:
    """The programme of a folder: all its ``*.yaml`` merged, but for settings.yaml, history/ and segments/ (own maps).

    ``effective_from``: when it comes into force if it does not say so itself (checks of fixed dates need it).
    ``conditions``: false leaves those of fraud rules unread, for who wants another block, and soon (a DAG file).
    Raises BadProgramme with every problem as ``file:line: key: message``.
    """
    programme, problems = checked(folder, effective_from, conditions=conditions)
    if programme is None or problems:
        raise refused(problems, folder)
    return programme


#: A place that is no folder of this machine.
_URL = re.compile(r"(?!file:)[A-Za-z0-9+.-]{2,}:")


def exists(folder: Path) -> bool:
    """Whether a folder holds a programme at all, right or wrong."""
    return bool(_files(folder, []))


def load_settings(folder: Path) -> Settings:
    """``settings.yaml`` of a programme folder, else the defaults; raises BadProgramme as :func:`load` does."""
    path = folder / SETTINGS
    if not path.is_file():
        return Settings()
    tree, problems = read(path)
    settings = None
    if tree is not None:
        settings, tree, more = _shaped(tree, Settings)
        problems += more
        if settings is not None:
            elsewhere = [name for name in ("landing", "lake") if _URL.match(getattr(settings, name))]
            problems += [
                problem_at(tree, (name,), "must be a local folder; only outbox and inbox may be elsewhere")
                for name in elsewhere
            ]
            for name in type(settings.drop_limits).model_fields:
                least = getattr(settings.drop_limits, name)
                if getattr(settings.night_limits, name) < least:  # a drop between the two would wait for ever
                    reason = f"must not be less than drop_limits.{name}, {least}"
                    problems.append(problem_at(tree, ("night_limits", name), reason))
    if settings is None or problems:
        raise refused(problems, path)
    return settings


def refused(problems: list[Problem], where: Path) -> BadProgramme:
    """The error for these problems, in order of file and line."""
    ordered = sorted(set(problems), key=lambda problem: (problem.file, problem.line, problem.key, problem.message))
    return BadProgramme(
        [str(problem) for problem in ordered],
        where=str(where),
        next_step="correct what each line says, then run `kanta programme check`",
    )


def checked(
    folder: Path, effective_from: date | None = None, *, conditions: bool = True
) -> tuple[Programme | None, list[Problem]]:
    """As :func:`load`, but gives the problems back; no programme when a problem hides what it would be."""
    trees: list[Node] = []
    problems: list[Problem] = []
    whole = True
    for path in _files(folder, problems):
        tree, found = read(path)
        problems += found
        if tree is None:
            whole = False
        else:
            trees.append(tree)
    if not trees and whole:
        problems.append(Problem(str(folder), 0, "", "holds no programme (*.yaml); see data/programme for an example"))
        return None, problems
    merged, found = merge(trees, str(folder))
    problems += found
    merged = _with_segment_files(merged, folder, problems)
    programme, sound, found = _shaped(merged, Programme, whole)
    problems += found
    problems += [problem_at(merged, path, text) for path, text in rules.duplicates(merged)]
    if whole:
        problems += [problem_at(merged, path, text) for path, text in rules.dangling(merged)]
    if programme is not None and whole:
        effective = programme.effective_from or effective_from
        wrong = list(rules.problems(programme, effective, conditions=conditions))
        problems += [problem_at(sound, path, text) for path, text in wrong]
    return programme, problems


def _files(folder: Path, problems: list[Problem]) -> list[Path]:
    """The files of a programme, in name order; a ``.yml`` is a problem, because nobody would notice it missing."""
    found = []
    for path in sorted(folder.rglob("*.y*ml")):
        inside = path.relative_to(folder).parts
        if not path.is_file() or inside[0] in (SETTINGS, HISTORY, SEGMENTS):
            continue
        if path.suffix == ".yaml":
            found.append(path)
        else:
            problems.append(Problem(str(path), 0, "", "is not read; name it *.yaml"))
    return found


def _with_segment_files(tree: Node, folder: Path, problems: list[Problem]) -> Node:
    """The tree with each own segment map (``segments: segments/own.yaml``) in the place of its file's name."""
    definitions = tree.child("rfm")
    if definitions is None or not isinstance(definitions.value, list) or not isinstance(tree.value, dict):
        return tree
    items = []
    for position, item in enumerate(definitions.value):
        name = item.text("segments")
        if isinstance(item.value, dict) and name and name not in BUILT_IN:
            line = item.value["segments"][0]
            lines = _segment_file(tree, ("rfm", position, "segments"), name, folder, problems)
            found = {**item.value, "segments": (line, lines)} if lines else None
            item = replace(item, value=found) if found else without(item, ("segments",))
        items.append(item)
    line = tree.value["rfm"][0]
    return replace(tree, value={**tree.value, "rfm": (line, replace(definitions, value=items))})


def _segment_file(tree: Node, path: KeyPath, name: str, folder: Path, problems: list[Problem]) -> Node | None:
    files = {file.relative_to(folder).as_posix(): file for file in (folder / SEGMENTS).rglob("*.yaml")}
    if name not in files:
        close = difflib.get_close_matches(name, BUILT_IN, n=1)
        hint = f"did you mean {close[0]}?" if close else f"use {', '.join(BUILT_IN)} or a file in {SEGMENTS}/"
        problems.append(problem_at(tree, path, f"names no segment map; {hint}"))
        return None
    content, found = read(files[name])
    problems.extend(found)
    lines = content.child("segments") if content else None
    if content and (lines is None or not isinstance(lines.value, list) or set(plain(content)) != {"segments"}):
        problems.append(problem_at(content, ("segments",), "must be the only key, and a list of segment ranges"))
        return None
    return lines


# Shape: what pydantic finds


def _shaped(tree: Node, model: type[M], whole: bool = True) -> tuple[M | None, Node, list[Problem]]:
    """The tree as a model, and its problems of shape.

    With problems the model is what is left without the wrong parts (so that the rest can be checked in the same go),
    or None when nothing sensible is left; the tree that comes back is the one the model was made of. Not ``whole``:
    a file could not be read, and what it may hold is not called missing.
    """
    problems: list[Problem] = []
    for attempt in range(20):
        try:
            return model.model_validate(plain(tree)), tree, problems
        except ValidationError as error:
            errors = error.errors(include_url=False, include_input=False)
            if attempt == 0:
                told = [details for details in errors if whole or details["type"] != "missing" or details["loc"][1:]]
                problems = [_problem(tree, model, details) for details in told]
            tree = _without_errors(tree, errors)
    return None, tree, problems


def _path(tree: Node, details: ErrorDetails) -> KeyPath:
    """An error's location without the parts pydantic adds for unions; a missing key stays as the last part."""
    path: KeyPath = ()
    node: Node | None = tree
    for part in details["loc"]:
        child = node.child(part) if node else None
        if child is not None:
            path, node = (*path, part), child
    return (*path, details["loc"][-1]) if details["type"] == "missing" else path


def _order(path: KeyPath) -> list[tuple[str, int]]:
    return [(part, 0) if isinstance(part, str) else ("", part) for part in path]


def _without_errors(tree: Node, errors: list[ErrorDetails]) -> Node:
    """The tree without what is wrong: an unknown key alone, else the innermost list item or key around it."""
    cuts: set[KeyPath] = set()
    for details in errors:
        path = _path(tree, details)
        if details["type"] == "missing":
            path = path[:-1]
        if details["type"] != "extra_forbidden":
            while path and not isinstance(path[-1], int) and any(isinstance(part, int) for part in path):
                path = path[:-1]
        cuts.add(path)
    if () in cuts and isinstance(tree.value, dict):
        # Only the accounting currency is required at the top; any will do to check the rest.
        stand_in = (tree.line, Node(tree.file, tree.line, "USD"))
        tree = replace(tree, value={**tree.value, "accounting_currency": stand_in})
    outermost = [path for path in cuts if path and not any(path[:n] in cuts for n in range(1, len(path)))]
    # Later items first, so that the positions of earlier ones stay right.
    for path in sorted(outermost, key=_order, reverse=True):
        tree = without(tree, path)
    return tree


def _problem(tree: Node, model: type[Model], details: ErrorDetails) -> Problem:
    path = _path(tree, details)
    return problem_at(tree, path, _message(model, path, details))


_MESSAGES = {
    "missing": "is missing",
    "model_type": "must be a mapping of keys",
    "dict_type": "must be a mapping of keys",
    "tuple_type": "must be a list",
    "string_type": "must be text",
    "too_short": "must not be empty",
}
_PATTERNS = {
    r"^[A-Za-z0-9_.-]+$": "must be an id of letters, digits, _ . and -",
    r"^[A-Z]{3}$": "must be a currency code such as USD",
    r"^\S(.*\S)?$": "must be one line of text without blanks around it",
    r"^([01]\d|2[0-3]):[0-5]\d$": "must be a time such as 05:00",
}


def _message(model: type[Model], path: KeyPath, details: ErrorDetails) -> str:
    """What is wrong, in the words of the programme; never the value itself, which may be personal."""
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        known = _keys(model, path[:-1])
        close = difflib.get_close_matches(str(path[-1]), known, n=1)
        return f"unknown key; did you mean {close[0]}?" if close else f"unknown key; known here: {', '.join(known)}"
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(context["pattern"], "must be all, a channel id, or an org path such as /EU/FI")
    if kind == "decimal_max_places":
        return f"must not have more than {context['decimal_places']} decimals"
    if kind == "missing" and isinstance(path[-1], int):
        return "is missing: must be lowest, highest"
    text = details["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return _MESSAGES.get(kind, text[:1].lower() + text[1:])


def _keys(model: type[Model], path: KeyPath) -> list[str]:
    """The keys a programme knows at a path."""
    current: type[Model] = model
    for part in path:
        fields = {info.alias or name: info for name, info in current.model_fields.items()}
        if part in fields:
            current = next(_models(fields[str(part)].annotation), current)
    return [info.alias or name for name, info in current.model_fields.items()]


def _models(annotation: Any) -> Any:
    """The models named in a type, outermost first."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)


# Schemas for editors


def write_schemas(folder: Path = SCHEMAS / "programme") -> list[Path]:
    """Writes the JSON Schemas of programme and settings, made from the models, and returns their paths."""
    written = []
    for name, text in schema_files().items():
        written.append(folder / name)
        written[-1].write_text(text, encoding="utf-8")
    return written


def schema_files() -> dict[str, str]:
    """File name and content of each JSON Schema."""
    return {
        f"{name}.schema.json": json.dumps(json_schema(model), indent=1, ensure_ascii=False) + "\n"
        for name, model in (("programme", Programme), ("settings", Settings))
    }

"""Programme YAML as a tree that knows where each key stands, so that every problem can say file and line.

Scalars stay the text that was written: no number ever passes through a float, ``007`` stays an id and ``no`` a word.
Input may be hostile: size, depth and alias expansion are limited, tags are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import yaml

#: Where a value stands in the tree: keys and list positions from the top.
KeyPath = tuple[str | int, ...]

MAX_BYTES = 1_000_000
MAX_DEPTH = 30
MAX_NODES = 200_000
MAX_EXAMPLE = 40  # characters of a key shown in a message

_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a programme: ``str()`` gives ``file:line: key: message``."""

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


@dataclass(frozen=True)
class Node:
    """One YAML value: text or None, a list of nodes, or a mapping of (line of the key, node).

    ``position``: of a list's item, as written (what is wrong may be cut out around it).
    """

    file: str
    line: int
    value: str | list[Node] | dict[str, tuple[int, Node]] | None
    position: int = -1

    def child(self, part: str | int) -> Node | None:
        if isinstance(self.value, dict) and isinstance(part, str):
            return self.value[part][1] if part in self.value else None
        if isinstance(self.value, list) and isinstance(part, int):
            return self.value[part] if 0 <= part < len(self.value) else None
        return None

    def text(self, key: str) -> str:
        """The scalar under a key, ``""`` when there is none."""
        child = self.child(key)
        return child.value if child is not None and isinstance(child.value, str) else ""

    def items(self, *keys: str) -> Iterator[tuple[KeyPath, Node]]:
        """The items of the list under the keys, each with its path from here; nothing when there is no list."""
        node: Node | None = self
        for key in keys:
            node = node.child(key) if node else None
        if node is not None and isinstance(node.value, list):
            for position, item in enumerate(node.value):
                yield (*keys, position), item


class _BrokenError(Exception):
    """What stops the reading of a file: message and line (0: the whole file)."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


class _Builder:
    """Turns YAML events into nodes without recursion, so that nesting cannot exhaust the stack."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.anchors: dict[str, Node] = {}
        self.open: list[Node] = []  # lists and mappings being filled, outermost first
        self.keys: list[tuple[str, int] | None] = []  # for each of them: the key that waits for its value
        self.names: list[str | None] = []  # and its anchor
        self.root: Node | None = None

    def problem(self, line: int, message: str, key: str = "") -> None:
        self.problems.append(Problem(self.file, line, key, message))

    def event(self, event: yaml.Event) -> None:
        line = event.start_mark.line + 1 if event.start_mark else 0
        tag = getattr(event, "tag", None)
        if tag is not None and not tag.startswith("tag:yaml.org,2002:"):
            self.problem(line, f"tags such as {tag[:MAX_EXAMPLE]} are not allowed; write the plain value")
        elif tag is not None and tag.startswith("tag:yaml.org,2002:python"):
            self.problem(line, "tags that name Python objects are not allowed; write the plain value")
        if isinstance(event, yaml.ScalarEvent):
            plain = event.style in (None, "")
            self.place(Node(self.file, line, None if plain and event.value in _NULLS else event.value), event.anchor)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                raise _BrokenError(f"alias *{event.anchor} names no finished anchor", line)
            self.place(self.anchors[event.anchor], None)
        elif isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
            if len(self.open) >= MAX_DEPTH:
                raise _BrokenError(f"nested deeper than {MAX_DEPTH} levels", line)
            self.open.append(Node(self.file, line, [] if isinstance(event, yaml.SequenceStartEvent) else {}))
            self.keys.append(None)
            self.names.append(event.anchor)
        elif isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
            self.keys.pop()
            self.place(self.open.pop(), self.names.pop())
        elif isinstance(event, yaml.DocumentStartEvent) and self.root is not None:
            raise _BrokenError("holds a second document; use one file for each", line)

    def place(self, node: Node, anchor: str | None) -> None:
        """Puts a finished node where it belongs: as the root, a list's item, a mapping's key or its value."""
        if anchor is not None:
            self.anchors[anchor] = node
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        if isinstance(parent.value, list):
            parent.value.append(replace(node, position=len(parent.value)))
        elif isinstance(parent.value, dict):
            waiting = self.keys[-1]
            if waiting is None:
                if not isinstance(node.value, str):
                    raise _BrokenError("a key must be a word", node.line)
                self.keys[-1] = (node.value, node.line)
                return
            key, line = waiting
            self.keys[-1] = None
            if key in parent.value:
                first = parent.value[key][0]
                above = [open_key[0] for open_key in self.keys if open_key]
                self.problem(line, f"is written twice in one place (first on line {first})", ".".join([*above, key]))
            else:
                parent.value[key] = (line, node)


def read(path: Path) -> tuple[Node | None, list[Problem]]:
    """One YAML file as a tree whose root is a mapping (None when it cannot be read), and what is wrong with it."""
    builder = _Builder(str(path))
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _BrokenError(f"is larger than {MAX_BYTES:,} bytes", 0)
        for event in yaml.parse(path.read_text(encoding="utf-8-sig"), Loader=yaml.CSafeLoader):
            builder.event(event)
        root = builder.root or Node(str(path), 1, {})
        if root.value is None:
            root = Node(str(path), 1, {})
        if not isinstance(root.value, dict):
            raise _BrokenError("must be a mapping of keys at the top", root.line)
        _refuse_bombs(root)
    except _BrokenError as broken:
        builder.problem(broken.line, str(broken))
    except UnicodeDecodeError as error:
        builder.problem(0, f"is not UTF-8 (byte {error.start})")
    except OSError as error:
        builder.problem(0, f"cannot be read: {error.strerror}")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        builder.problem(mark.line + 1 if mark else 0, f"is not YAML: {error.problem or error.context}")
    except yaml.YAMLError as error:
        builder.problem(0, f"is not YAML: {str(error).splitlines()[0]}")
    else:
        return root, builder.problems
    return None, builder.problems


def _refuse_bombs(root: Node) -> None:
    """Raises _BrokenError for a tree that is too large or too deep once its aliases are written out.

    It stops soon after the limits, so that no bomb is unpacked; a chain of aliases is deep though each is short.
    """
    stack, seen = [(root, 0)], 0
    while stack:
        node, depth = stack.pop()
        seen += 1
        if seen > MAX_NODES:
            raise _BrokenError(f"holds more than {MAX_NODES:,} values once its aliases are written out", 0)
        if depth > MAX_DEPTH:
            raise _BrokenError(f"is nested deeper than {MAX_DEPTH} levels once its aliases are written out", node.line)
        if isinstance(node.value, list):
            stack.extend((child, depth + 1) for child in node.value)
        elif isinstance(node.value, dict):
            stack.extend((child, depth + 1) for _, child in node.value.values())


def merge(trees: list[Node], folder: str) -> tuple[Node, list[Problem]]:
    """Several files as one programme: top-level lists are joined, mappings merged key by key.

    A key that two files give different values is a problem (spec: 1-interfaces section 4, "one or several files").
    """
    problems: list[Problem] = []
    merged: dict[str, tuple[int, Node]] = {}
    for tree in trees:
        if isinstance(tree.value, dict):
            _merge_into(merged, tree.value, "", problems)
    alone = len(trees) == 1
    return Node(trees[0].file if alone else folder, 1 if alone else 0, merged), problems


def _merge_into(
    into: dict[str, tuple[int, Node]], more: Mapping[str, tuple[int, Node]], above: str, problems: list[Problem]
) -> None:
    for key, (line, node) in more.items():
        if key not in into:
            into[key] = (line, node)
            continue
        first_line, first = into[key]
        if isinstance(first.value, list) and isinstance(node.value, list) and not above:
            into[key] = (first_line, replace(first, value=[*first.value, *node.value]))
        elif isinstance(first.value, dict) and isinstance(node.value, dict):
            inner = dict(first.value)
            _merge_into(inner, node.value, f"{above}{key}.", problems)
            into[key] = (first_line, replace(first, value=inner))
        elif plain(first) != plain(node):
            message = f"has another value in {first.file}:{first_line}; keep one"
            problems.append(Problem(node.file, line, above + key, message))


def plain(node: Node) -> Any:
    """The tree as plain lists, dicts, texts and None."""
    if isinstance(node.value, list):
        return [plain(item) for item in node.value]
    if isinstance(node.value, dict):
        return {key: plain(child) for key, (_, child) in node.value.items()}
    return node.value


def without(node: Node, path: KeyPath) -> Node:
    """The tree without the value at a path (which must be there); shares what it does not change."""
    part, rest = path[0], path[1:]
    if isinstance(node.value, dict) and isinstance(part, str):
        entries = dict(node.value)
        line, child = entries.pop(part)
        if rest:
            entries[part] = (line, without(child, rest))
        return replace(node, value=entries)
    items = list(cast(list[Node], node.value))
    part = cast(int, part)
    if rest:
        items[part] = without(items[part], rest)
    else:
        del items[part]
    return replace(node, value=items)


def place(root: Node, path: KeyPath) -> tuple[str, int, str]:
    """File, line and readable key (``schemes[everywhere].earning[base].per``) of a path.

    What is not written (a missing key, a default) is placed at the innermost thing around it that is.
    """
    node: Node | None = root
    file, line, key = root.file, root.line, ""
    for part in path:
        child = node.child(part) if node else None
        if isinstance(part, int):
            name = child.text("id") or child.text("code") if child else ""
            shown = child.position if child and child.position >= 0 else part
            key += f"[{name[:MAX_EXAMPLE] or shown}]"
        else:
            key += f".{part[:MAX_EXAMPLE]}" if key else part[:MAX_EXAMPLE]
        if child is not None and node is not None:
            file = child.file
            line = node.value[part][0] if isinstance(node.value, dict) and isinstance(part, str) else child.line
        node = child
    return file, line, key


def problem_at(root: Node, path: KeyPath, message: str) -> Problem:
    """A problem with the value at a path of the tree."""
    return Problem(*place(root, path), message)

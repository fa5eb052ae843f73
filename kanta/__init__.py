"""Kanta: a nightly loyalty pipeline for retailers."""

__version__ = "0.1.0"

#: So many new objects before a process of ours looks for garbage; at Python's 700 that is a second of each night, while
#: libraries load, and a third of a second of the judge's start.
OBJECTS = 100_000

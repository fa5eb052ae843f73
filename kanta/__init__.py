"""Kanta: a nightly loyalty pipeline for retailers."""

__version__ = "0.1.0"

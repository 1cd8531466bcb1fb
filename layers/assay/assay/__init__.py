"""Assay: event-driven evaluation of language models."""

__version__ = "0.1.0"

"""Experiment files: YAML in, an `Experiment` or all mistakes together out."""

from ..yamlfile.errors import SpecError, SpecErrors
from .load import load_experiment, parse_experiment

__all__ = ["SpecError", "SpecErrors", "load_experiment", "parse_experiment"]

"""The results of a run, as tables, a report and a summary for the terminal."""

from .run_report import RUNNING, write_report
from .summary import render_summary

__all__ = ["RUNNING", "render_summary", "write_report"]

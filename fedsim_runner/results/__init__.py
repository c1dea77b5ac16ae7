"""The results of a run, as tables, a report and a summary for the terminal."""

from .run_report import RUNNING, build_report, write_report
from .summary import render_summary

__all__ = ["RUNNING", "build_report", "render_summary", "write_report"]

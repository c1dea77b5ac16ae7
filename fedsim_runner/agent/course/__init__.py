"""Watching over one course: what participants report, and whom the others wait for."""

"""Supervision of one course: what participants report, and which one the others wait for."""

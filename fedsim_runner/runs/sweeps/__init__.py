"""Sweeps: one experiment file run with several seeds and values, resumable, with one report."""

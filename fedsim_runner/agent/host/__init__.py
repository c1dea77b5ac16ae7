"""The lab host as the agent sees it: its Engine, its files, its counters."""

"""Data sets and their split among clients. The seed decides: the same device file gives the same shards."""

"""Data sets and their split among clients. The same device file gives the same shards: the seed decides."""

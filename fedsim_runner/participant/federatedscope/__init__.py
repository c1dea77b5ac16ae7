"""Engine ``federatedscope``: FederatedScope itself, unmodified on disk, patched at import for a testbed."""

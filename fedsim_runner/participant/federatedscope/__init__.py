"""Engine ``federatedscope``: FederatedScope itself, unmodified on disk, mended at import for a testbed."""

"""FederatedScope itself: where it comes from, how it becomes a wheel, and which of its courses can run."""

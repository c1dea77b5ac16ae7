"""A testbed of simulated edge devices for FederatedScope courses."""

__version__ = "0.2.0-dev0"

"""The light engine: a small FederatedScope participant of numpy and gRPC, for devices that cannot hold torch.

It reads the same YAML and the same shards, speaks the same messages and writes the same log lines as FederatedScope
0.3.0 (upstream commit 480b67d), so both can take part in one course.
"""

"""Federated-learning engines, seen from the control node: what each can run and what it needs."""

"""The agent's processes beside its own: commands to them, and their priority."""

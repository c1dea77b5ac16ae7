"""YAML files whose values remember where they stood, and how a mistake in one is reported."""

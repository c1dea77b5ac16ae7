"""YAML files whose values remember their position, and how mistakes in them are reported."""

"""A link back end for a test: all of it is this folder."""

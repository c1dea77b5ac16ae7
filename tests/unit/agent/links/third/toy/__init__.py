"""A link back end for a test, complete in this folder."""

"""Bringing links to what they should be: comparing, changing, reading back."""

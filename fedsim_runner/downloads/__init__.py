"""What the control node downloads once and keeps: its cache, and the errors that pip printed."""

"""What the control node downloads once and keeps: where it lies, and what pip said when it could not."""

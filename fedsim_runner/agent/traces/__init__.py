"""Links that vary by themselves during a course: along traces, and between states."""

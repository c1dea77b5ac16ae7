"""What happens to devices and their links during a course: following the timeline, and acting on it."""

"""The agents of a run on several lab hosts: a channel between them, one clock, one judge of the course."""

"""What a person sees of a run in the terminal, while it goes on and afterwards."""

"""What a person sees in the terminal while a run goes on, and reads of it afterwards."""

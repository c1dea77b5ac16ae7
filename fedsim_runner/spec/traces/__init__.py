"""Files that say what a link is over time, and how an experiment's links follow them."""

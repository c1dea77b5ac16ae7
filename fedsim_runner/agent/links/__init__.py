"""Links of the devices on one lab host: what they should be, and shaping them accordingly."""

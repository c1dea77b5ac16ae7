"""Lab hosts: what placement needs to know about them."""

"""How fast devices compute: published steps, what lab hosts need for them, and the quota that follows."""

"""Units of the crun flavor."""

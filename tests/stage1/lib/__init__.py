"""Units of what all flavors share."""

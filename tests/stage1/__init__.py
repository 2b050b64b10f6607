"""Units of stage1's programs."""

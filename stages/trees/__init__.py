"""Trees: an image rendered with its dependencies, kept and checked."""

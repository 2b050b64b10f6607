"""What everything may use: errors, digests, files on disk, paths."""

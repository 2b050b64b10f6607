"""Benchmarks: podwright side by side with what a user would pick instead, on one machine and in one run."""

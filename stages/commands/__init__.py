"""The doit commands of our own."""

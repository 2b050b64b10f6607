"""The pod's steps as doit tasks, and the hand-over to stage1."""

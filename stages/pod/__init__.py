"""The pod directory: manifest, state, records of steps, the way into stage1."""

"""What the programs of all flavors share; python's standard library is all that it imports."""

"""The flavor for tests of stage0: it tells what it was given and runs nothing."""

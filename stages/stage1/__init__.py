"""The built-in stage1 images; its programs are met only through files, argv, environment and the inherited lock."""

# What a spec calls them; what is in them is loaded when one is built.
WORDS = ("crun", "fly", "stub")

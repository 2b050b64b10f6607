"""podwright: a committed pod spec becomes a running pod. Verbs are modules here, nouns are packages."""

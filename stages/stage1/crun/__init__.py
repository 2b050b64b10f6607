"""The default flavor: every app runs under an OCI runtime of the host, in namespaces that the pod shares."""

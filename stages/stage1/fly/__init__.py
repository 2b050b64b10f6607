"""The flavor for one app in the host's own namespaces: a private mount namespace and a chroot, nothing else."""

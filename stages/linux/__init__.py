"""The kernel: mounts, namespaces, locks. The only place for ctypes."""

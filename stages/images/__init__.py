"""Images: archives by digest, their manifests and dependencies."""

"""The pod spec: YAML in, one frozen PodSpec out."""

"""OCI and Docker images as values: descriptors, manifests, configs, platforms, layouts. No I/O."""

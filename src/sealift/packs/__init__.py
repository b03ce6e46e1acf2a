"""Packs: a layer or a directory as squashfs blocks with an index; merged by the OCI rules into an image."""

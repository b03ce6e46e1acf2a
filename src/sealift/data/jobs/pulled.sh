# Pulled and squashed once, before ranks start: each of them would begin to pull otherwise. The squashed copy lies on
# scratch, where all nodes see it, and where files that nobody read for weeks are removed.
image=$(squashed #@DIGEST@)
if [[ -z $image ]]; then
    podman-hpc pull "$reference" || stop "$reference cannot be pulled: try it on a login node"
    image=$(squashed "$(podman-hpc image inspect --format '{{.Id}}' "$reference")")
fi

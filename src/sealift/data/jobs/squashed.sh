# The squashed image by its identifier, under which every node finds it; by a digest other nodes do not, and pull anew.
# $1 is the digest of its manifest, or the identifier.
squashed() {
    podman-hpc images --no-trunc --digests --format '{{.ReadOnly}} {{.Digest}} {{.ID}}' |
        awk -v wanted="$1" '$1 == "true" && ($2 == wanted || $3 == "sha256:" wanted) { print substr($3, 8); exit }'
}

# Pulled and squashed once, before ranks start: each of them would begin to pull otherwise. The squashed copy lies on
# scratch, where all nodes see it, and where files that nobody read for weeks are removed.
image=$(squashed "$digest")
if [[ -z $image ]]; then
    podman-hpc pull "$reference" || stop "$reference cannot be pulled: try it on a login node"
    image=$(squashed "$(podman-hpc image inspect --format '{{.Id}}' "$reference")")
fi
[[ -n $image ]] || stop "$reference is not squashed, so that other nodes do not see it: podman-hpc migrate $reference"
export SEALIFT_IMAGE=$image

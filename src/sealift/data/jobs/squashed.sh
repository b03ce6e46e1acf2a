# The squashed image by its identifier, under which every node finds it; by a digest other nodes do not, and pull anew.
# $1 is the digest of its manifest, or the identifier.
squashed() {
    podman-hpc images --no-trunc --digests --format '{{.ReadOnly}} {{.Digest}} {{.ID}}' |
        awk -v wanted="$1" '$1 == "true" && ($2 == wanted || $3 == "sha256:" wanted) { print substr($3, 8); exit }'
}

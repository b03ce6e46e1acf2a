# Bytes through containers.
set -e
head -c 3000000 /dev/urandom > bytes
singularity exec image.sif cat < bytes | cmp - bytes
cat bytes | singularity exec image.sif cat | singularity exec image.sif cat > copied
cmp bytes copied
singularity exec image.sif sh -c 'echo to stderr >&2; echo to stdout' 2>/dev/null
singularity exec image.sif sh -c 'while :; do echo y; done' | head -2
printf 'a\nb\nc\n' | while read -r line; do singularity exec image.sif echo "line $line" </dev/null; done
singularity exec image.sif cat </dev/null | wc -c
rm bytes copied

# Flags as people write them.
set -e
mkdir -p data home
echo input > data/in
singularity exec -B "$PWD/data:/mnt" image.sif cat /mnt/in
singularity exec -B"$PWD/data":/mnt image.sif cat /mnt/in
singularity exec -B="$PWD/data":/mnt:ro image.sif sh -c 'cat /mnt/in; touch /mnt/new 2>/dev/null || echo read-only'
singularity exec --bind "$PWD/data:/mnt,$PWD/home:/opt" image.sif ls /mnt /opt
singularity exec --mount "type=bind,source=$PWD/data,destination=/mnt" image.sif cat /mnt/in
singularity exec -ec --pwd / image.sif pwd
singularity exec -eC --cwd /opt image.sif pwd
singularity exec --env A=1,2 image.sif printenv A
singularity exec --env A=1,B=2 --env "C=x y" image.sif sh -c 'echo $A $B "$C"'
printf 'E1=one\nE2="two words"\n' > list.env
singularity exec --env-file list.env image.sif sh -c 'echo $E1 $E2'
SINGULARITYENV_S=from-host APPTAINERENV_T=too singularity exec -e image.sif sh -c 'echo $S $T $COURSE'
FOO=seen singularity exec image.sif printenv FOO
FOO=hidden singularity exec --cleanenv image.sif printenv FOO || echo "clean: $?"
APPTAINER_BIND="$PWD/data:/mnt" singularity exec image.sif cat /mnt/in
singularity exec --home "$PWD/home" image.sif sh -c 'cd; pwd'
singularity exec --no-home --contain image.sif sh -c 'ls /mnt'
singularity exec --nv=false --rocm=false image.sif echo no drivers
singularity exec -- image.sif echo -- --nv
singularity -q exec image.sif echo quiet
singularity --silent run image.sif
singularity -s shell image.sif -c 'echo "in a shell"'
singularity shell --shell /bin/sh image.sif -c 'echo "in sh"'
singularity exec --writable-tmpfs image.sif sh -c 'echo changed > /opt/built; cat /opt/built'
singularity exec image.sif cat /opt/built
singularity exec --app=none image.sif true || echo "app: $?"
singularity exec image.sif sh -c 'umask; ulimit -n >/dev/null; echo "$0 $#"' name one two

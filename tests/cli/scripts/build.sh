# How a course builds an image and looks at it.
set -e
singularity build base.sif base.def >/dev/null
test -x base.sif
singularity exec base.sif cat /opt/built
singularity run base.sif one "two three"
singularity test base.sif a b
apptainer inspect --runscript base.sif
apptainer inspect --environment base.sif | grep COURSE
apptainer inspect base.sif | grep -i course
apptainer inspect --deffile base.sif | head -3
apptainer run-help base.sif
apptainer sif dump 1 base.sif | grep -v '^$' | head -3
apptainer sif header base.sif | grep -e Launch -e Architecture -e Version
if singularity build base.sif base.def </dev/null >/dev/null 2>&1; then echo overwritten; else echo "kept: $?"; fi
singularity build --force base.sif base.def >/dev/null
echo "again: $?"
singularity build --sandbox folder base.sif >/dev/null
singularity exec folder cat /opt/built
singularity build --mksquashfs-args "-comp gzip -b 128k" -F small.sif folder >/dev/null
singularity exec small.sif cat /opt/built

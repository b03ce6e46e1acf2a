# An image is a program.
set -e
./image.sif one "two three"
cp image.sif tool
PATH=$PWD:$PATH
tool four
echo five | ./image.sif

# Values that come out of containers, and failures that end scripts.
set -eu
answer=$(singularity exec image.sif sh -c 'echo 6 times 7; exit 0')
echo "answer: $answer"
count=$(ls | singularity exec image.sif wc -l)
echo "files: $count"
lines=$(singularity exec image.sif printf 'a\nb\n' | wc -l)
echo "lines: $lines"
if singularity exec image.sif sh -c 'exit 3'; then echo unexpected; else echo "said $?"; fi
for each in "exec image.sif no-such-program" "exec no-such.sif true" "exec --no-such-flag image.sif true" exec \
    "exec image.sif" "run" "no-such-verb" "build" "build one" "pull" "inspect" "sif list" "sif list Makefile" \
    "exec --bind" "exec --nv=maybe image.sif true" "--no-such-flag" "inspect no-such.sif"; do
    set +e
    singularity $each >/dev/null 2>&1 </dev/null
    echo "$each: $?"
    set -e
done
singularity exec image.sif sh -c 'kill -9 $$' || echo "killed: $?"
singularity exec image.sif sh -c 'exit 4'
echo "never reached"

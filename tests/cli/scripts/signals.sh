# What a batch system sends reaches the program.
await() { for each in $(seq 400); do [ -e ready ] && return; sleep 0.05; done; echo 'never ready'; }
rm -f ready
singularity exec image.sif sh -c 'trap "echo ended well; exit 7" TERM; touch ready; i=0; while [ $i -lt 400 ]; do sleep 0.05; i=$((i+1)); done' &
pid=$!
await
kill -TERM $pid
wait $pid
echo "program said $?"
rm -f ready
singularity exec image.sif sh -c 'touch ready; exec sleep 100' &
pid=$!
await
kill -TERM $pid
wait $pid
echo "killed: $?"
timeout 1 singularity exec image.sif sleep 100
echo "timed out: $?"
rm -f ready

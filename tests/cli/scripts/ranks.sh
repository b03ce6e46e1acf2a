# As a batch script starts ranks on a node.
set -e
mkdir -p data
echo input > data/in
for rank in 0 1 2 3; do
    SLURM_PROCID=$rank SLURM_NTASKS=4 singularity exec --bind data:/mnt image.sif \
        sh -c 'echo "rank $SLURM_PROCID of $SLURM_NTASKS: $(cat /mnt/in)"' > "out.$rank" &
done
wait
cat out.*
printf '%s\n' a b c | xargs -P 3 -I{} singularity exec image.sif echo {} | sort

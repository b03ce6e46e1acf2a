#!/bin/sh
# Starts the Jupyter kernel analysis-1 in docker://registry.example.org/me/analysis:1 on podman-hpc.
# Made by `sealift kernel install`; make it again with -F. Jupyter gives it the connection file.
set -u
connection=$1
folder=$(dirname -- "$connection")
set --

# The connection file's folder can be anywhere: VS Code has it in /run/user.
case $folder/ in
    /tmp/* | /cfs/* | /var/tmp/* | /home/me/* | /scratch/me/*) ;;
    *) set -- "$@" --volume "$folder:$folder" ;;
esac
# The notebook's folder.
case $PWD/ in
    /tmp/* | /cfs/* | /var/tmp/* | /home/me/* | /scratch/me/* | "$folder"/) ;;
    *) set -- "$@" --volume "$PWD:$PWD" ;;
esac

# Variables that may enter; the container begins without any.
for variable in $(env | sed -n 's/^\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p'); do
    case $variable in
        CUDA_HOME | CUDA_PATH | CUDA_ROOT | CUDA_DIR | CUDA_*_ROOT | CUDA_*_DIR | CUDA_TOOLKIT_ROOT_DIR | \
        MPICH_DIR | MPICH_*_DIR | OMPI_*HOME | OMPI_*PREFIX | I_MPI_ROOT | FI_PROVIDER_PATH | NCCL_HOME | \
        NCCL_ROOT | NCCL_DIR | UCX_HOME | UCX_DIR | HIP_PATH | HIP_*_PATH | OMP_HOME) ;;
        SLURM_* | SLURMD_* | PALS_* | PMI_* | PMI2_* | PMIX_* | PBS_* | MPICH_* | OMPI_* | PRTE_* | \
        I_MPI_* | UCX_* | FI_* | NCCL_* | RCCL_* | OMP_* | GOMP_* | KMP_* | MKL_NUM_THREADS | \
        OPENBLAS_NUM_THREADS | CUDA_* | ROCR_* | HIP_* | HSA_* | GPU_DEVICE_ORDINAL | ZE_* | MASTER_* | \
        TERM | LANG | LC_* | TZ | USER | LOGNAME | http_proxy | https_proxy | no_proxy | all_proxy | \
        ftp_proxy | HTTP_PROXY | HTTPS_PROXY | NO_PROXY | ALL_PROXY | FTP_PROXY)
            set -- "$@" --env "$variable"
            ;;
    esac
done

# A container outlives the program that starts it. One that Jupyter started before with this connection
# file still has its ports, and goes first.
container=sealift-$(basename -- "$connection" .json | tr -cd 'A-Za-z0-9_.-')
for try in 1 2 3 4 5 6 7 8 9 10; do
    old=$(podman-hpc ps --all --quiet --filter "name=^$container-")
    [ -n "$old" ] || break
    podman-hpc kill $old >/dev/null 2>&1
    podman-hpc rm --force $old >/dev/null 2>&1 || sleep 0.5
done
set -- --name "$container-$$" "$@"
# When this process or Jupyter is gone, in whatever way, so is the container.
setsid sh -c '
    lives() { grep -qs "^State:.[^ZX]" "/proc/$1/status"; }
    both() { lives "$1" && { [ "$2" = 0 ] || lives "$2"; }; }
    while both "$1" "$2"; do sleep 1; done
    "$3" kill "$4"
    "$3" rm --force "$4"
' sealift-kernel "$$" "$PPID" podman-hpc "$container-$$" </dev/null >/dev/null 2>&1 &

exec podman-hpc run "$@" --rm --network=host --ipc=host \
    --mount type=bind,source=/tmp,target=/tmp --mount type=bind,source=/cfs,target=/cfs \
    --mount type=bind,source=/var/tmp,target=/var/tmp --mount type=bind,source=/home/me,target=/home/me \
    --mount type=bind,source=/scratch/me,target=/scratch/me --workdir "$PWD" --env SCRATCH=/scratch/me \
    --env CFS=/cfs --env PYTHONNOUSERSITE=1 --env HF_HOME=/scratch/me/hf \
    --env TORCH_HOME=/scratch/me/.cache/torch --env MPLCONFIGDIR=/tmp/sealift-cache-1000/matplotlib \
    --env NUMBA_CACHE_DIR=/tmp/sealift-cache-1000/numba \
    --env TRITON_CACHE_DIR=/tmp/sealift-cache-1000/triton \
    --env TORCHINDUCTOR_CACHE_DIR=/tmp/sealift-cache-1000/torchinductor \
    --env CUDA_CACHE_PATH=/tmp/sealift-cache-1000/cuda --env HOME=/home/me --env JPY_PARENT_PID=1 \
    --env OMP_NUM_THREADS=8 --env 'NOTE=a, '"'"'b'"'"'' --entrypoint python3 \
    -- registry.example.org/me/analysis:1 -m ipykernel_launcher -f "$connection"

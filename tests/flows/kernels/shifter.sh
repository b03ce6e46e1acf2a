#!/bin/sh
# Starts the Jupyter kernel analysis-1 in docker://registry.example.org/me/analysis:1 on shifter.
# Made by `sealift kernel install`; make it again with -F. Jupyter gives it the connection file.
set -u
connection=$1
folder=$(dirname -- "$connection")
set --

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
            set -- "$@" "--env=$variable=$(printenv "$variable")"
            ;;
    esac
done

# When Jupyter is gone without having ended the kernel, the kernel ends. What mounts the image is no part of
# its process group, and stays when that is killed: it ends, too.
setsid sh -c '
    lives() { grep -qs "^State:.[^ZX]" "/proc/$1/status"; }
    both() { lives "$1" && { [ "$2" = 0 ] || lives "$2"; }; }
    helpers=
    while both "$1" "$2"; do
        now=$(cat /proc/$1/task/*/children)
        helpers=${now:-$helpers}
        sleep 1
    done
    kill -s TERM -- "-$1" || kill -s TERM "$1"
    for second in 1 2 3 4 5; do lives "$1" && sleep 1; done
    kill -s KILL -- "-$1" || kill -s KILL "$1"
    for helper in $helpers; do [ "$helper" = "$$" ] || kill -s KILL "$helper"; done
' sealift-kernel "$$" "$PPID" </dev/null >/dev/null 2>&1 &

exec shifter "$@" --image=docker:registry.example.org/me/analysis:1 --module=gpu --clearenv \
    "--workdir=$PWD" --env=SCRATCH=/scratch/me --env=CFS=/cfs --env=PYTHONNOUSERSITE=1 \
    --env=HF_HOME=/scratch/me/hf --env=TORCH_HOME=/scratch/me/.cache/torch \
    --env=MPLCONFIGDIR=/tmp/sealift-cache-1000/matplotlib \
    --env=NUMBA_CACHE_DIR=/tmp/sealift-cache-1000/numba \
    --env=TRITON_CACHE_DIR=/tmp/sealift-cache-1000/triton \
    --env=TORCHINDUCTOR_CACHE_DIR=/tmp/sealift-cache-1000/torchinductor \
    --env=CUDA_CACHE_PATH=/tmp/sealift-cache-1000/cuda --env=HOME=/home/me --env=JPY_PARENT_PID=1 \
    python3 -m ipykernel_launcher -f "$connection"

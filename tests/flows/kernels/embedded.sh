#!/bin/sh
# Starts the Jupyter kernel analysis in /images/analysis on embedded.
# Made by `sealift kernel install`; make it again with -F. Jupyter gives it the connection file.
set -u
connection=$1
folder=$(dirname -- "$connection")
set --

# The connection file's folder can be anywhere: VS Code has it in /run/user.
case $folder/ in
    /tmp/* | /var/tmp/* | /home/me/*) ;;
    *) set -- "$@" --bind "$folder:$folder" ;;
esac

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

export APPTAINERENV_NOTE='a, '"'"'b'"'"''
exec /opt/sealift/bin/sealift exec "$@" --engine embedded --safe-env --nv \
    --env JPY_PARENT_PID=1 /images/analysis \
    python3 -m ipykernel_launcher -f "$connection"

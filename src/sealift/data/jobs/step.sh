# srun's own messages are looked at on their way: once it ends the other ranks because one failed, its exit code is
# theirs, and the code of the one that failed stands only there. The file has no name any more, and cannot be left.
messages=$(mktemp "/tmp/sealift-$SLURM_JOB_ID.XXXXXX") || stop "no file can be made in /tmp"
exec {kept}>"$messages"
exec {read_again}<"$messages"
rm -f "$messages"
exec {said}> >({ tee /dev/fd/4 4>&1 >&3 | grep -E '^srun: error: [^ ]+: tasks? [0-9,-]+: ' >&"$kept"; } 3>&2)
reader=$!

# All ranks, in the background, so that this script hears what Slurm tells it meanwhile.
#@STEP@ 2>&"$said" &
step=$!
exec {said}>&-

# A signal interrupts `wait`; what counts is what it says once the step is gone.
while kill -0 "$step" 2>/dev/null; do
    wait "$step"
done
wait "$step"
code=$?
wait "$reader"
if ((code != 0)); then
    read -r first <&"$read_again" || first=''
    case $first in
        *': Exited with exit code '*) code=${first##* } ;;
        *': Aborted'*) code=134 ;;
        *': Bus error'*) code=135 ;;
        *': Floating point exception'*) code=136 ;;
        *': Killed'* | *': Out Of Memory'*) code=137 ;;
        *': Segmentation fault'*) code=139 ;;
    esac
fi

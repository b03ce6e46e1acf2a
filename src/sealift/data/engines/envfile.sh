# Evaluates an `--env-file`, the text of which is the first argument, and says what came of it.
#
# Run by the host's bash; sealift.engines.envfiles reads the answer: what the file itself prints, the line below,
# `export -p`, and the last line. As under Apptainer no program is run and no file is written: the shell is a restricted
# one, and PATH, which it would not let anyone set, is called SEALIFT_PATH meanwhile.
command_not_found_handle() {
    echo "sealift: cannot run $1" >&2
}
PATH=/nonexistent
set -ar
eval "$1"
echo
echo "# sealift: tells"
export -p
echo "# sealift: told"

# Sources what an image says of its environment, as Apptainer 1.4 does, and tells descriptor 9 what came of it.
#
# Run inside the container by its own shell, POSIX or bash; sealift.engines.embedded.scripts reads the answer:
# the umask, the names among SEALIFT_NAMES that are set, an empty line, `export -p`, and the last line below.
# The caller's orders are the statements in SEALIFT_ORDER_1, _2, …; they are carried out once, behind 99-base.sh.

# Shells set some of these for themselves; the scripts must find what the image gives, or nothing.
unset PATH PS1 PS2 PS4 $SEALIFT_NAMES
export PWD
sealift_place=$PWD

sealift_fix_path() {
    for sealift_folder in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
        case ":${PATH-}:" in
        *":$sealift_folder:"*) ;;
        *) PATH="${PATH:+$PATH:}$sealift_folder" ;;
        esac
    done
    unset sealift_folder
    export PATH
}

sealift_carry_out_orders() {
    if [ "${PATH+set}" != set ]; then
        sealift_fix_path
    fi
    sealift_number=1
    while eval "[ \"\${SEALIFT_ORDER_$sealift_number+set}\" = set ]"; do
        eval "eval \"\$SEALIFT_ORDER_$sealift_number\""
        unset "SEALIFT_ORDER_$sealift_number"
        sealift_number=$((sealift_number + 1))
    done
    unset sealift_number
}

sealift_runtime_variables() {
    if [ -n "${SING_USER_DEFINED_PREPEND_PATH:-}" ]; then
        PATH="$SING_USER_DEFINED_PREPEND_PATH:$PATH"
    fi
    if [ -n "${SING_USER_DEFINED_APPEND_PATH:-}" ]; then
        PATH="$PATH:$SING_USER_DEFINED_APPEND_PATH"
    fi
    if [ -n "${SING_USER_DEFINED_PATH:-}" ]; then
        PATH="$SING_USER_DEFINED_PATH"
    fi
    unset SING_USER_DEFINED_PREPEND_PATH SING_USER_DEFINED_APPEND_PATH SING_USER_DEFINED_PATH
    export PATH
}

if [ -d /.singularity.d/env ]; then
    for sealift_script in /.singularity.d/env/*.sh; do
        [ -f "$sealift_script" ] || continue
        case "$sealift_script" in
        */90-environment.sh)
            # 10-docker2singularity.sh, which would have set PATH, is there or not, depending on the image's source.
            [ "${PATH+set}" = set ] || sealift_fix_path
            . "$sealift_script"
            ;;
        */10-docker2singularity.sh | */10-docker.sh)
            . "$sealift_script"
            sealift_fix_path
            ;;
        */99-base.sh)
            . "$sealift_script"
            sealift_carry_out_orders
            ;;
        *)
            . "$sealift_script"
            ;;
        esac
    done
    unset sealift_script
else
    # Images from before Singularity 2.3, and plain root file systems.
    if [ -f /environment ]; then
        . /environment
        sealift_fix_path
    fi
    sealift_carry_out_orders
fi
[ -f /.singularity.d/env/99-runtimevars.sh ] || sealift_runtime_variables

unset IFS
set +efu
# A `cd` in the scripts does not move the program: PWD shall not say that it did. An order to set PWD stays.
if [ "${PWD-}" != "$sealift_place" ] && [ "${PWD-}" -ef . ] 2>/dev/null; then
    unset PWD
fi
unset sealift_place
{
    umask
    for sealift_name in $SEALIFT_NAMES; do
        eval "[ \"\${$sealift_name+set}\" = set ]" && echo "$sealift_name"
    done
    unset sealift_name SEALIFT_NAMES
    echo
    export -p
    echo "# sealift: told"
} >&9

sealift_host="LANG"
for sealift_name in $sealift_host; do
    eval "sealift_$sealift_name=\${$sealift_name-}"
    unset "$sealift_name"
done
unset SHLVL PATH PS1 PS2 PS4 A
umask 0027
sealift_fix_path() {
    for sealift_folder in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
        case ":${PATH-}:" in
        *":$sealift_folder:"*) ;;
        *) PATH="${PATH:+$PATH:}$sealift_folder" ;;
        esac
    done
    export PATH
}
for sealift_script in /.singularity.d/env/*.sh; do
    [ -f "$sealift_script" ] || continue
    case "$sealift_script" in
    */90-environment.sh) [ "${PATH+set}" = set ] || sealift_fix_path ;;
    esac
    . "$sealift_script"
    case "$sealift_script" in
    */10-docker2singularity.sh | */10-docker.sh) sealift_fix_path ;;
    */99-base.sh)
        [ "${PATH+set}" = set ] || sealift_fix_path
export WHO="a \"$HOME\""
export PATH="/p"
        ;;
    esac
done
unset IFS
set +efu
for sealift_name in $sealift_host; do
    if eval "[ \"\${$sealift_name+set}\" != set ]"; then
        eval "export $sealift_name=\"\$sealift_$sealift_name\""
    elif eval "[ -z \"\$$sealift_name\" ]"; then
        unset "$sealift_name"
    fi
done
if [ ! -x /scif/apps/tool/scif/test ]; then
    echo 'ERROR:   no tests for contained app: tool' >&2
    exit 1
fi
IFS= read -r sealift_line </scif/apps/tool/scif/test
case "$sealift_line" in
"#!"* | *ELF*) exec /scif/apps/tool/scif/test "$@" ;;
*) exec /bin/sh /scif/apps/tool/scif/test "$@" ;;
esac
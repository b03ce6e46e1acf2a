# One container on this node: namespaces that all ranks of the node join. It says `ready`, the node's number and two
# process ids on standard output, stays as long as its standard input does, and leaves nothing: its mounts are in a
# namespace of its own.
#
# SEALIFT_IMAGE is a SIF or squashfs whose root file system begins at byte SEALIFT_OFFSET.
set -euo pipefail
umask 022
# Where administrators' programs lie, which ordinary users often do not have on their PATH: pivot_root, ldconfig
export PATH=$PATH:/usr/sbin:/sbin

stop() {
    printf 'sealift: %s: %s\n' "${SLURMD_NODENAME:-$HOSTNAME}" "$*" >&2
    exit 1
}

# The path to which $1 leads in the image, links followed as they are inside.
inside() {
    local rest=${1#/} path='' part link hops=0
    while [[ -n $rest ]]; do
        part=${rest%%/*}
        [[ $rest == */* ]] && rest=${rest#*/} || rest=''
        case $part in
            '' | .) continue ;;
            ..) path=${path%/*} && continue ;;
        esac
        if [[ -L $base/image$path/$part ]]; then
            ((++hops < 40)) || stop "$1 is a link without end in $SEALIFT_IMAGE"
            link=$(readlink "$base/image$path/$part")
            [[ $link == /* ]] && path=''
            rest=$link${rest:+/$rest}
        else
            path=$path/$part
        fi
    done
    REPLY=$path
}

sources=() targets=() modes=()

# bind SOURCE [TARGET [ro|rw|try]]: what is shown inside; with `try` only where there is such a source.
bind() {
    local source=$1 target=${2:-$1} mode=${3:-rw} path
    if [[ ! -e $source ]]; then
        [[ $mode != try ]] || return 0
        stop "$source cannot be bound: it is not there"
    fi
    inside "$target"
    path=$REPLY
    [[ -n $path ]] || stop "nothing can be bound at /"
    if [[ ! -e $base/image$path && ! -e $base/points$path ]]; then
        # A mount point that the image lacks
        mkdir -p "$base/points${path%/*}"
        if [[ -d $source ]]; then mkdir "$base/points$path"; else : >"$base/points$path"; fi
    fi
    sources+=("$source") targets+=("$path") modes+=("$mode")
}

mount_binds() {
    local number target
    for number in "${!targets[@]}"; do
        target=$base/root${targets[number]}
        if [[ ! -e $target ]]; then
            mkdir -p "${target%/*}"
            if [[ -d ${sources[number]} ]]; then mkdir "$target"; else : >"$target"; fi
        fi
        mount --rbind "${sources[number]}" "$target" ||
            stop "${sources[number]} cannot be bound at ${targets[number]}"
        if [[ ${modes[number]} == ro ]]; then
            # The flags that the mount has already must be repeated.
            mount -o "remount,bind,$(findmnt -fno VFS-OPTIONS --target "$target" | sed 's/^rw/ro/')" "$target" ||
                stop "${sources[number]} cannot be made read-only at ${targets[number]}"
        fi
    done
}

mount_image() {
    local program='' name
    if [[ $user == 0 ]]; then
        mount -t squashfs -o "loop,ro,offset=$SEALIFT_OFFSET" "$SEALIFT_IMAGE" "$base/image" ||
            stop "$SEALIFT_IMAGE cannot be mounted"
        return
    fi
    for name in squashfuse_ll squashfuse; do
        program=$(PATH=$PATH:/usr/libexec/apptainer/bin:/usr/local/libexec/apptainer/bin type -P $name) && break
    done
    [[ -n $program ]] || stop "squashfuse is not installed: without it an ordinary user can mount no image"
    # In the foreground, so that it ends with the container.
    "$program" -f -o "offset=$SEALIFT_OFFSET" "$SEALIFT_IMAGE" "$base/image" </dev/null >&2 &
    until mountpoint -q "$base/image"; do
        kill -0 $! 2>/dev/null || stop "$SEALIFT_IMAGE cannot be mounted by $program"
        sleep 0.05
    done
}

# The caller's line behind those of the image's file.
add_line() {
    inside "$1"
    [[ -f $base/image$REPLY ]] || return 0
    {
        cat "$base/image$REPLY"
        getent "$2" "$3" || :
    } >"$base/$2"
    bind "$base/$2" "$1"
}

# The host's GPU driver, which must be of the version of the kernel's part: the files of a list ($1), libraries as the
# host's own loader finds them.
bind_driver() {
    local kind name path rest wanted
    mkdir "$base/libs"
    wanted=$(sed -n 's/^library //p' <<<"$1" | sed 's/[.]/[.]/g' | paste -sd'|')
    while read -r name rest; do
        path=${rest##*=> }
        [[ ! -e $base/libs/$name ]] || continue
        : >"$base/libs/$name"
        mount --bind "$path" "$base/libs/$name"
    done < <(ldconfig -p | grep -E "^[[:space:]]*($wanted)" | grep -E 'x86-64|AArch64')
    [[ -n $(ls -A "$base/libs") ]] || echo "sealift: this node has no libraries of the GPU's driver" >&2
    while read -r kind name; do
        case $kind in
            program)
                path=$(type -P "$name") || continue
                bind "$path" "/usr/bin/$name"
                ;;
            file | socket) bind "$name" "$name" try ;;
        esac
    done <<<"$1"
    bind "$base/libs" /.singularity.d/libs
}

container() {
    local first second unmount libraries loader path
    # A folder that is only covered, and by us alone
    for base in /mnt /media /srv /usr/src /boot; do
        [[ -d $base && $PWD/ != $base/* && $SEALIFT_IMAGE != $base/* ]] && break
    done
    mount -t tmpfs -o mode=755 sealift "$base"
    mkdir "$base"/{image,points,root}
    mount_image
    # A copy that was made for this job needs no name any more, and cannot be left behind.
    [[ -z ${SEALIFT_COPIED-} ]] || rm -f "$SEALIFT_IMAGE"
    for path in /dev /proc /sys /tmp /var/tmp; do bind "$path"; done
    for path in /etc/resolv.conf /etc/hosts /etc/localtime; do bind "$path" "$path" try; done
    add_line /etc/passwd passwd "$user"
    add_line /etc/group group "$group"
#@BINDS@
    if [[ -n $(ls -A "$base/points") ]]; then
        mount -t overlay -o "ro,lowerdir=$base/points:$base/image" overlay "$base/root" ||
            stop "this kernel stacks no overlay for ordinary users, and $SEALIFT_IMAGE lacks mount points"
    else
        mount --rbind "$base/image" "$base/root"
    fi
    mount_binds

    # Here one is root. A second user namespace, in which one is oneself again, is what the ranks end up in.
    read -r first _ </proc/self/stat
    second=$first
    if [[ $user != 0 ]]; then
        coproc own { exec unshare --user bash -c 'read -r own _ </proc/self/stat; echo "$own"; read -r _'; }
        read -r second <&"${own[0]}"
        echo "$user 0 1" >"/proc/$second/uid_map"
        echo "$group 0 1" >"/proc/$second/gid_map"
    fi

    # Once the container's root is ours, the host's lies at its /dev, and there its `umount`, whose loader has to be
    # told where that finds its libraries.
    unmount=$(readlink -f "$(type -P umount)")
    libraries=$(ldd "$unmount" | sed -n 's|.*=> \(/[^ ]*\)/[^/ ]* (.*|/dev\1|p' | sort -u | paste -sd:)
    loader=$(readlink -f "$(ldd "$unmount" | sed -n 's|^[[:space:]]*\(/[^ ]*\) (.*|\1|p')")
    cd "$base/root"
    pivot_root . dev
    cd /
    "/dev$loader" --library-path "$libraries" "/dev$unmount" --lazy /dev || stop "the host's root cannot be taken away"
    echo "ready $SLURM_NODEID $first $second"
    while read -r _; do :; done
}

user=${2:-$(id -u)} group=${3:-$(id -g)}
if [[ ${1-} == inside ]]; then
    container
    exit
fi
# Whatever the ranks are told, the container stays for them.
trap '' HUP INT TERM USR1 USR2
spaces=(--mount --propagation slave --pid --fork --kill-child)
((EUID == 0)) || spaces+=(--user --map-root-user)
exec unshare "${spaces[@]}" bash -c "$BASH_EXECUTION_STRING" node inside "$user" "$group"

# Into the container of this node, as oneself: the first namespace gives the right to enter, the second takes it away.
read -ra containers <<<"$SEALIFT_CONTAINERS"
IFS=: read -r first second <<<"${containers[SLURM_NODEID]}"
join=(nsenter --target "$first" --user --preserve-credentials --
    nsenter --target "$second" --user --mount --preserve-credentials --)
((EUID != 0)) || join=(nsenter --target "$first" --mount --)
# There to the same folder, in the image's environment; what was ordered wins over it.
exec "${join[@]}" /bin/sh -c '
    cd "$1" 2>/dev/null || cd /
    shift
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    unset LD_LIBRARY_PATH TMPDIR SEALIFT_IMAGE SEALIFT_OFFSET SEALIFT_COPIED SEALIFT_CONTAINERS
    exec "$@"' sh #@FOLDER@ #@COMMAND@

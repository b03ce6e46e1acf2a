# Makes the image's environment around a section's script, as Apptainer's engine does. It runs under the image's bash
# where there is one, because that is what recipes write their %environment for.

# Shells set some variables for themselves, which count as not set.
unset LD_LIBRARY_PATH PS1 SHLVL OLDPWD ${SEALIFT_BUILDER:-}
for script in /.singularity.d/env/*.sh; do
    [ ! -f "$script" ] || . "$script"
done

# What the builder ordered with APPTAINERENV_NAME, over all that the image says.
eval "${SEALIFT_ORDERS:-}"
unset SEALIFT_ORDERS

# What the image's PATH lacks of the usual folders is added behind it.
for place in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
    case ":$PATH:" in
        *":$place:"*) ;;
        *) PATH="${PATH:+$PATH:}$place" ;;
    esac
done
export PATH

# The builder's variables, which the image's scripts did not see, where these have set none of that name.
for name in ${SEALIFT_BUILDER:-}; do
    eval "[ \"\${$name+set}\" = set ] || export $name=\"\$SEALIFT_BUILDER_$name\""
    unset "SEALIFT_BUILDER_$name"
done
unset SEALIFT_BUILDER script place name
exec "$@"

# Makes the image's environment around a section's script, as Apptainer's engine does. It runs under the image's bash
# where there is one, because that is what recipes write their %environment for.

unset LD_LIBRARY_PATH PS1 SHLVL OLDPWD
for script in /.singularity.d/env/*.sh; do
    [ ! -f "$script" ] || . "$script"
done

# What the image's PATH lacks of the usual folders is added behind it.
for place in /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin; do
    case ":$PATH:" in
        *":$place:"*) ;;
        *) PATH="${PATH:+$PATH:}$place" ;;
    esac
done
export PATH
unset script place
exec "$@"

# Completion of `sealift` in fish; made by `sealift completion fish` of Sealift @VERSION@.

# Whether the flag $argv[2] of the command $argv[1] takes a value from the next word.
function __sealift_takes
    switch $argv[1]
@TAKES@
    end
end

# Whether the words before the cursor are the command $argv[1], and behind it as many words that are no flags as
# $argv[2] says, if it says so; with `+` as many or more.
function __sealift_at
    set -l command
    set -l place 1
    set -l waiting no
    for word in (commandline -opc)[2..-1]
        if test $waiting = yes
            set waiting no
        else if test "$word" = --
            return 1
        else if string match -qr -- '^-.' $word
            __sealift_takes "$command" $word; and set waiting yes
        else if test -z "$command"
            set command $word
        else if contains -- "$command $word" @BELOW@
            set command "$command $word"
        else
            set place (math $place + 1)
            # What follows is a program's, flags and all.
            contains -- "$command" @PROGRAMS@; and break
        end
    end
    test "$command" = "$argv[1]"; or return 1
    switch "$argv[2]"
        case ''
            test $place -eq 1; or not contains -- "$command" @PROGRAMS@
        case '*+'
            test $place -ge (string trim -c + $argv[2])
        case '*'
            test $place -eq $argv[2]
    end
end

# Files of these endings that begin as typed, and folders on the way to them.
function __sealift_files
    set -l endings (string escape --style=regex -- $argv | string join '|')
    __fish_complete_path (commandline -ct | string trim -l -c '"\'') | string match -r -- "^[^\t]*(?:/|$endings)(?:\t.*)?\$"
end

function __sealift_sites
    printf '%s\n' @SITES@
    set -l own ~/.config
    set -q XDG_CONFIG_HOME; and set own $XDG_CONFIG_HOME
    for path in $own/sealift/sites/*.toml
        string replace -r '.*/(.*)\.toml$' '$1' -- $path
    end
end

function __sealift_kernels
    sealift kernel list 2>/dev/null | string match -rv '^KERNEL ' | string replace -r ' .*' ''
end

complete -c sealift -f
complete -c sealift -n '__sealift_at ""' -s h -l help -d 'show all commands'
complete -c sealift -n '__sealift_at ""' -l version -d 'show the version'
@GRAMMAR@

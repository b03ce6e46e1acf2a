#compdef sealift
# Completion of `sealift` in zsh; made by `sealift completion zsh` of Sealift @VERSION@.

_sealift_images() { _files -g '@IMAGES@(-.)' }
_sealift_recipes() { _files -g '@RECIPES@(-.)' }
_sealift_profiles() { _files -g '*.toml(-.)' }

_sealift_binds() {
    compset -P '*:' # of SRC:DST the last
    _files
}

_sealift_sites() {
    local -a names=(@SITES@ ${XDG_CONFIG_HOME:-$HOME/.config}/sealift/sites/*.toml(N:t:r))
    _describe -t sites site names
}

_sealift_kernels() {
    local -a names=(${${${(f)"$(_call_program kernels sealift kernel list 2>/dev/null)"}:#KERNEL *}%% *})
    _describe -t kernels kernel names
}

@GRAMMAR@

_sealift() {
    local curcontext=$curcontext state line ret
    typeset -A opt_args
    _arguments -C \
        '(- : *)'{-h,--help}'[show all commands]' \
        '(- : *)--version[show the version]' \
        '1:command:_sealift_commands' \
        '*::argument:->below'
    if [[ $state == below ]]; then
        curcontext=${curcontext%:*:*}:sealift-$words[1]:
        _call_function ret _sealift_of_$words[1]
    fi
}

if [[ $funcstack[1] == _sealift ]]; then # found in $fpath, and called
    _sealift "$@"
else # read by `source`
    compdef _sealift sealift
fi

# Completion of `sealift` in bash 4.3 and newer; made by `sealift completion bash` of Sealift @VERSION@.

# What may stand behind the command $1. A value is `word,word` and `@kind`; nothing means free text.
_sealift_grammar() {
    switches='' takes='' places='' repeated='' program='' below=''
    case $1 in
@GRAMMAR@
    esac
}

_sealift_found() {
    [[ $1 == "$part"* ]] && found+=("$prefix$1")
}

# Paths that begin as typed: folders, and files of these endings, or all files where none is named.
_sealift_paths() {
    local path ending typed=${part#[\"\']}
    while IFS= read -r path; do
        if [[ -d ${path/#\~/$HOME} ]]; then
            found+=("$prefix$path")
        elif [[ $# -eq 0 ]]; then
            found+=("$prefix$path")
        else
            for ending; do
                [[ $path == *"$ending" ]] && found+=("$prefix$path")
            done
        fi
    done < <(compgen -f -- "${typed//\\/}")
    compopt -o filenames 2>/dev/null
}

# Fills `found` with the values of kind $1 that begin with $2.
_sealift_values() {
    local value name part=$2 prefix=''
    if [[ $1 == @bind && $part == *:* ]]; then # of SRC:DST the last
        part=${part##*:}
        prefix=${2%"$part"}
    fi
    while IFS= read -r -d, value; do
        case $value in
        @image) _sealift_paths @IMAGES@ ;;
        @recipe) _sealift_paths @RECIPES@ ;;
        @profile) _sealift_paths .toml ;;
        @file | @bind) _sealift_paths ;;
        @folder)
            while IFS= read -r name; do found+=("$prefix$name"); done < <(compgen -d -- "$part")
            compopt -o filenames 2>/dev/null
            ;;
        @kernel)
            while read -r name _; do
                [[ $name != KERNEL ]] && _sealift_found "$name"
            done < <("${COMP_WORDS[0]}" kernel list 2>/dev/null)
            ;;
        @site)
            for name in @SITES@; do _sealift_found "$name"; done
            for name in "${XDG_CONFIG_HOME:-$HOME/.config}"/sealift/sites/*.toml; do
                name=${name##*/}
                [[ $name != '*.toml' ]] && _sealift_found "${name%.toml}"
            done
            ;;
        *) _sealift_found "$value" ;;
        esac
    done <<<"$1,"
}

# Sets `value` to what the flag $1 takes; false where it takes nothing.
_sealift_takes() {
    local pair
    for pair in $takes; do
        [[ ${pair%%=*} == "$1" ]] && value=${pair#*=} && return
    done
    return 1
}

_sealift() {
    local -a words=() found=() places_here=()
    local switches takes places repeated program below command='' word rest=$COMP_LINE current raw value waiting='' ended=''
    local -i index place=0

    # Readline ends words at `=` and `:`; those that no space parts are one.
    for ((index = 0; index <= COMP_CWORD; index++)); do
        word=${COMP_WORDS[index]}
        if [[ $index -eq 0 || $rest == [[:space:]]* ]]; then
            rest=${rest#"${rest%%[![:space:]]*}"}
            words+=("$word")
        else
            words[${#words[@]} - 1]+=$word
        fi
        rest=${rest#"$word"}
    done
    raw=$word
    [[ $raw == [=:]* ]] && raw=${raw##*[=:]}
    current=${words[${#words[@]} - 1]}
    words=("${words[@]:1:${#words[@]} - 2}")

    _sealift_grammar ''
    for word in "${words[@]}"; do
        if [[ $waiting ]]; then
            waiting=''
        elif [[ $word == -- && ! $ended ]]; then
            ended=yes
        elif [[ $word == -?* && ! $ended ]]; then
            _sealift_takes "$word" && waiting=yes
        elif [[ ! $command ]]; then
            command=$word
            _sealift_grammar "$command"
        elif [[ $place -eq 0 && " $below " == *" $word "* ]]; then
            command+=" $word"
            _sealift_grammar "$command"
        else
            place+=1
            if [[ $program ]]; then
                compopt -o default 2>/dev/null
                return
            fi
        fi
    done

    if [[ $waiting ]]; then
        _sealift_takes "${words[${#words[@]} - 1]}"
        _sealift_values "$value" "$current"
    elif [[ $ended ]]; then
        compopt -o default 2>/dev/null
        return
    elif [[ $current == --*=* ]]; then
        _sealift_takes "${current%%=*}" && _sealift_values "$value" "${current#*=}"
        found=("${found[@]/#/${current%%=*}=}")
    elif [[ $current == -* ]]; then
        for word in $switches $takes; do
            [[ ${word%%=*} == "$current"* ]] && found+=("${word%%=*}")
        done
    else
        read -ra places_here <<<"$places"
        [[ $repeated && $place -ge ${#places_here[@]} ]] && place=$((${#places_here[@]} - 1))
        value=${places_here[place]-}
        [[ $place -eq 0 ]] && value+=${below:+,${below// /,}}
        [[ $value && $value != - ]] && _sealift_values "$value" "$current"
    fi

    COMPREPLY=()
    for word in "${found[@]}"; do
        COMPREPLY+=("${word:${#current} - ${#raw}}")
    done
}

complete -F _sealift sealift

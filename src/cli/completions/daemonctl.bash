_daemonctl() {
    # bash takes a word apart at = and : as well. What stands without a space between is one word again.
    local line=${COMP_LINE:0:COMP_POINT} words=() word space i
    for ((i = 0; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        space=${line%%"$word"*}
        line=${line#"$space$word"}
        if [[ $i -eq 0 || -n $space ]]; then words+=("$word"); else words[-1]+=$word; fi
    done
    word=${line#"${line%%[![:space:]]*}"}
    if [[ $word != "$line" || $COMP_CWORD -eq 0 ]]; then words+=("$word"); else words[-1]+=$word; fi
    # Of the last word, only what bash takes for one is replaced.
    local typed=${words[-1]} values=()
    mapfile -t values < <(DAEMONCTL_COMPLETE=bash daemonctl -- "${words[@]}" 2>/dev/null)
    values=("${values[@]%%$'\t'*}")
    COMPREPLY=("${values[@]#"${typed%"$2"}"}")
    [[ ${#values[@]} -eq 1 && ${values[0]} == *[=/] ]] && compopt -o nospace
}
complete -o bashdefault -o nosort -F _daemonctl daemonctl

#compdef daemonctl
_daemonctl() {
    local line value
    local -a whole begun
    for line in "${(@f)$(DAEMONCTL_COMPLETE=zsh daemonctl -- "${(@)words[1,CURRENT]}" 2>/dev/null)}"; do
        value=${${${line%%$'\t'*}//\\/\\\\}//:/\\:}
        [[ $line == *$'\t'* ]] && line=$value:${line#*$'\t'} || line=$value
        case $value in
            '') ;;
            *[=/]) begun+=("$line") ;;
            *) whole+=("$line") ;;
        esac
    done
    # Values come as they would be typed, with quotes.
    [[ -n $whole ]] && _describe -V 'values' whole -Q
    # A word that goes on is not followed by a space.
    [[ -n $begun ]] && _describe -V 'values' begun -Q -S ''
}
if [[ $funcstack[1] == _daemonctl ]]; then _daemonctl "$@"; else compdef _daemonctl daemonctl; fi

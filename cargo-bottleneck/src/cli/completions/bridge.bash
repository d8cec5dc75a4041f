
# `cargo bottleneck ...` is completed as `cargo-bottleneck ...`, every other word behind `cargo` as it was before.
_cargo_bottleneck_behind_cargo() {
    local at=1 before
    [[ ${COMP_WORDS[1]} == +* ]] && at=2
    if [[ $COMP_CWORD -gt $at && ${COMP_WORDS[at]} == bottleneck ]]; then
        COMP_WORDS=(cargo-bottleneck "${COMP_WORDS[@]:at+1}")
        COMP_CWORD=$((COMP_CWORD - at))
        _cargo__bottleneck cargo-bottleneck "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        return
    fi
    # Cargo's own script may be loaded at the first use only; it then takes our place, which we take back.
    if [[ -z ${_cargo_bottleneck_before-} ]]; then
        for before in _comp_load __load_completion _completion_loader; do
            if declare -F "$before" > /dev/null; then
                "$before" cargo > /dev/null 2>&1
                break
            fi
        done
        _cargo_bottleneck_remember
    fi
    if [[ -n ${_cargo_bottleneck_before-} ]]; then
        "$_cargo_bottleneck_before" "$@"
    fi
}

# Notes which function completes `cargo`, and takes its place.
_cargo_bottleneck_remember() {
    local rule
    rule=$(complete -p cargo 2> /dev/null)
    if [[ $rule =~ -F\ ([^ ]+) && ${BASH_REMATCH[1]} != _cargo_bottleneck_behind_cargo ]]; then
        _cargo_bottleneck_before=${BASH_REMATCH[1]}
    fi
    complete -o bashdefault -o default -F _cargo_bottleneck_behind_cargo cargo
}

_cargo_bottleneck_remember

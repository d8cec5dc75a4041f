
# `cargo bottleneck ...` is completed as `cargo-bottleneck ...`.
function __cargo_bottleneck_behind_cargo
    set -l words (commandline -opc)
    set -l at (contains -i -- bottleneck $words)
    or return
    set -e words[1..$at]
    complete -C "cargo-bottleneck "(string join ' ' -- (string escape -- $words) (commandline -ct))
end
complete -c cargo -n '__fish_seen_subcommand_from bottleneck' -f -a '(__cargo_bottleneck_behind_cargo)'

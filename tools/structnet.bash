# Completion for bash: commands, and the options and types that their --help lists.
_structnet()
{
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} help words
    if [ "$COMP_CWORD" = 1 ]; then
        words=$(structnet --help | sed -n 's/^  \([a-z]*\) .*/\1/p')
        COMPREPLY=($(compgen -W "$words --help --version" -- "$word"))
        return
    fi
    help=$(structnet "$command" --help 2> /dev/null)
    case $before in
    --type | --types) words=$(sed -n 's/^                    \([a-z][a-z0-9-]*\)  .*/\1/p' <<< "$(structnet approx --help)") ;;
    --effort) words='quick normal thorough' ;;
    --optimizer) words='sgd adam' ;;
    --target) words='bytes madds' ;;
    --tune) words='none layers whole' ;;
    *)
        case $word in
        -*) words="$(sed -n 's/^  \(-[a-zA-Z0-9-]*\)\b.*/\1/p' <<< "$help") --help" ;;
        *)
            compopt -o filenames
            COMPREPLY=($(compgen -f -- "$word"))
            return
            ;;
        esac
        ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _structnet structnet

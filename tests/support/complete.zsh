# complete.zsh - prints a command line after zsh has completed it: TAB is pressed at its end.
# The script _tenon is in the current folder. A second zsh on a pseudo-terminal completes the line.
# Usage: zsh -f complete.zsh LINE
zmodload zsh/zpty
zpty child zsh -f -i
zpty -w child 'PS1= PS2=; fpath=($PWD $fpath); autoload -U compinit; compinit -u -D
    report() { print -r -- "<$BUFFER>"; exit }; zle -N report; bindkey "^X" report
    bindkey "^I" expand-or-complete; print re''ady'
zpty -r child said '*ready*'
zpty -w -n child "$1"$'\t\x18'
zpty -r child said '*<*>*'
print -r -- ${${said##*<}%%>*}

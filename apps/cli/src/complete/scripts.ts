/** The shells that can be taught. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

// Each script asks `drawbridge __complete -- words…`, whose last word is the one being typed, for lines of the form
// `candidate<TAB>what it is`, or the single line `:files`.

const BASH = `# Completion of drawbridge for bash: source <(drawbridge completion bash)
_drawbridge() {
  local word words=() cur candidates prefix
  # bash splits words at = and : too; the program takes them whole.
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD}"; do
    if ((\${#words[@]} > 0)) && [[ $word == [=:]* || \${words[-1]} == *[=:] ]]; then
      words[-1]+=$word
    else
      words+=("$word")
    fi
  done
  cur=\${words[-1]}
  candidates=$("\${COMP_WORDS[0]/#\\~/$HOME}" __complete -- "\${words[@]}" 2>/dev/null)
  COMPREPLY=()
  if [[ $candidates == :files ]]; then
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    return
  fi
  prefix=
  [[ $cur == *[=:]* && $COMP_WORDBREAKS == *[=:]* ]] && prefix=\${cur%"\${cur##*[=:]}"}
  while IFS=$'\\t' read -r word _; do
    [[ -n $word ]] && COMPREPLY+=("\${word#"$prefix"}")
  done <<<"$candidates"
}
complete -F _drawbridge drawbridge
`;

const ZSH = `#compdef drawbridge
# Completion of drawbridge for zsh: put it as _drawbridge into a directory of $fpath, or source it after compinit.
_drawbridge() {
  local line
  local -a candidates
  candidates=("\${(@f)$("\${(Q)words[1]}" __complete -- "\${(@Q)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ $candidates[1] == :files ]]; then
    _files
    return
  fi
  local -a described
  for line in $candidates; do
    [[ -n $line ]] && described+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done
  ((\${#described})) && _describe drawbridge described
}
if [[ $funcstack[1] == _drawbridge ]]; then
  _drawbridge "$@"
else
  compdef _drawbridge drawbridge
fi
`;

const FISH = `# Completion of drawbridge for fish: drawbridge completion fish > ~/.config/fish/completions/drawbridge.fish
function __drawbridge_complete
  set -l words (commandline -opc) (commandline -ct)
  set -l candidates ($words[1] __complete -- $words[2..-1] 2>/dev/null)
  if test "$candidates" = ':files'
    __fish_complete_path (commandline -ct)
  else
    printf '%s\\n' $candidates
  end
end
complete -c drawbridge -f -a '(__drawbridge_complete)'
`;

/** What makes each shell complete our command line. */
export const COMPLETION_SCRIPTS = { bash: BASH, zsh: ZSH, fish: FISH } as const satisfies Record<Shell, string>;

# bash completion of doozer; made by `doozer completion bash`, do not edit.
_doozer() {
  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}"
  local command="" i flags="--address --boot --rev --local --timeout --output --tls --tls-ca --tls-name --tls-cert --tls-key --tls-insecure --help --version"
  case "$before" in
    -a|--address) mapfile -t COMPREPLY < <(:); return ;;
    -b|--boot) mapfile -t COMPREPLY < <(:); return ;;
    -r|--rev) mapfile -t COMPREPLY < <(:); return ;;
    -t|--timeout) mapfile -t COMPREPLY < <(:); return ;;
    -o|--output) mapfile -t COMPREPLY < <(compgen -W "text json" -- "$word"); return ;;
    --tls-ca) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
    --tls-name) mapfile -t COMPREPLY < <(:); return ;;
    --tls-cert) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
    --tls-key) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
    -f|--file) mapfile -t COMPREPLY < <(compgen -f -- "$word"); return ;;
    -x|--exec) mapfile -t COMPREPLY < <(:); return ;;
    -n|--count) mapfile -t COMPREPLY < <(:); return ;;
    --below) mapfile -t COMPREPLY < <(:); return ;;
    --value-bytes-max) mapfile -t COMPREPLY < <(:); return ;;
  esac
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "${COMP_WORDS[i]}" in
      -a|--address|-b|--boot|-r|--rev|-t|--timeout|-o|--output|--tls-ca|--tls-name|--tls-cert|--tls-key|-f|--file|-x|--exec|-n|--count|--below|--value-bytes-max) ((i++)) || true ;;
      -*) ;;
      *) command="${COMP_WORDS[i]}"; break ;;
    esac
  done
  case "$command" in
    add) flags+=" --file --value-bytes-max" ;;
    export) flags+=" --file" ;;
    import) flags+=" --below --overwrite --dry-run --value-bytes-max" ;;
    ls) flags+=" --long" ;;
    set) flags+=" --file --value-bytes-max" ;;
    status) flags+=" --count --watch" ;;
    touch) flags+=" --value-bytes-max" ;;
    wait) flags+=" --exec" ;;
    watch) flags+=" --exec --count" ;;
  esac
  if [[ $word == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$flags" -- "$word")
  elif [[ -z $command || $command == help ]]; then
    mapfile -t COMPREPLY < <(compgen -W "add completion del export find get help import ls man nop rev self set stat status touch tree wait walk watch" -- "$word")
  elif [[ $command == completion ]]; then
    mapfile -t COMPREPLY < <(compgen -W "bash zsh fish" -- "$word")
  fi
}
complete -F _doozer doozer

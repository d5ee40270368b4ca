# Sourced by the scripts of this folder: where the tree is, and steps that tell how to rerun them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
root="$PWD"
jobs="$(nproc)"

# say TEXT: what is being done, told apart from what the tools print.
say() { printf '== %s\n' "$*"; }

# step COMMAND...: runs it; when it fails, names the command that reruns it and ends the script.
step() {
  local status=0
  "$@" || status=$?
  if [[ $status != 0 ]]; then
    printf '\n== failed (exit status %s). To rerun this step:\n  cd %q &&' "$status" "$root" >&2
    printf ' %q' "$@" >&2
    printf '\n' >&2
    exit "$status"
  fi
}

# copy_sources FOLDER: the files of the tree as they are now, with their times, so that what did not
# change is not built again there.
copy_sources() {
  { git ls-files -z --cached --others --exclude-standard 2>/dev/null ||
    find . \( -path ./build -o -path ./data -o -path ./.git \) -prune -o -type f -print0; } |
    tar --null --files-from=- --ignore-failed-read -cf - 2>/dev/null | tar -xf - -C "$1"
}

# Sourced by the other set-up scripts: run one step quietly, say it in a line, show the log when it fails.
set -euo pipefail

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
log_folder=$repository/build/log
log_tail_lines=25
cd "$repository"
mkdir -p "$log_folder"

# stop MESSAGE...: end set-up with a message for the person who typed make.
stop() {
  printf '\nset-up stopped: %s\n' "$*" >&2
  exit 1
}

# step NAME TEXT COMMAND...: COMMAND's output goes to build/log/NAME.log; TEXT and the time taken go to the terminal.
step() {
  local name=$1 text=$2 log=$log_folder/$1.log started=$SECONDS status
  shift 2
  printf '%-9s %s ' "$name" "$text"
  # Not `if "$@"`: inside a condition bash ignores errexit, and COMMAND would run on after its first failure.
  set +e
  (set -e; "$@") >"$log" 2>&1 </dev/null
  status=$?
  set -e
  if [ $status = 0 ]; then
    printf '(%d s)\n' $((SECONDS - started))
    return
  fi
  printf 'FAILED\n'
  tail -n "$log_tail_lines" "$log" >&2
  stop "the whole log is in ${log#"$repository"/}"
}

# What `apt-get install` needs to ask nobody anything and to wait its turn behind another apt.
apt_get() {
  DEBIAN_FRONTEND=noninteractive apt-get -y -o DPkg::Lock::Timeout=300 "$@"
}

# Package lists may be absent (fresh image) or older than the archive (404): then fetch them once and try again.
apt_install() {
  apt_get install --no-install-recommends "$@" || { apt_get update && apt_get install --no-install-recommends "$@"; }
}

# need_packages WHY PACKAGE...: install Debian packages, or tell the person how to.
need_packages() {
  local why=$1
  shift
  command -v apt-get >/dev/null || stop "$why is needed; on Debian it is in: $*"
  [ "$(id -u)" = 0 ] || stop "$why is needed and only root may install it. Please run
  sudo apt-get install --no-install-recommends $*
and then make again."
  step debian "installing $why: $*" apt_install "$@"
}

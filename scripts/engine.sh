#!/usr/bin/env bash
# Make sure that a Docker engine answers: use the one that does, else install Debian's and start it.
#
# DOCKER_HOST is respected. DOCKERD_FLAGS adds flags to a dockerd that is started here (say, --data-root=/big/disk).
source "$(dirname "$0")/step.sh"

start_timeout_s=60
engine_log=$log_folder/dockerd.log

answers() {
  docker version --format '{{.Server.Version}}' >/dev/null 2>&1
}

! answers || exit 0

case ${DOCKER_HOST:-unix:///var/run/docker.sock} in
  unix://*) ;;
  *) stop "no Docker engine answers at DOCKER_HOST=$DOCKER_HOST" ;;
esac

if [ "$(id -u)" != 0 ]; then
  if command -v docker >/dev/null; then
    stop "no Docker engine answers you: $(docker ps 2>&1 | tail -n 1)
If it is not running:              sudo systemctl start docker
If you may not speak to it:        sudo usermod -aG docker $(id -un)   (then log in again)"
  fi
  stop "a Docker engine is needed and only root may install it. Please run
  sudo apt-get install --no-install-recommends docker.io && sudo systemctl start docker && sudo usermod -aG docker $(id -un)
then log in again and run make again."
fi

command -v dockerd >/dev/null || need_packages "the Docker engine" docker.io
# From Debian 13 on the command is a package of its own.
command -v docker >/dev/null || need_packages "the docker command" docker-cli
# Installing may have started it (an init system that is allowed to start services does).
! answers || exit 0

# start_dockerd FLAGS...: detached from make and its terminal; true as soon as it answers.
start_dockerd() {
  local deadline=$((SECONDS + start_timeout_s)) pid
  echo "--- dockerd $*" >>"$engine_log"
  # shellcheck disable=SC2086 # DOCKERD_FLAGS is a list of words
  setsid nohup dockerd ${DOCKER_HOST:+-H "$DOCKER_HOST"} "$@" ${DOCKERD_FLAGS:-} >>"$engine_log" 2>&1 </dev/null &
  pid=$!
  until answers; do
    if ! kill -0 "$pid" 2>/dev/null; then return 1; fi
    if [ $SECONDS -gt $deadline ]; then
      kill "$pid"
      return 1
    fi
    sleep 0.2
  done
}

# Where the kernel or a sandbox forbids bridges and packet filters, an engine without them still serves: our jobs have no
# network at all.
start_engine() {
  if [ -d /run/systemd/system ] && [ -z "${DOCKER_HOST:-}${DOCKERD_FLAGS:-}" ]; then
    systemctl start docker
    answers
  else
    : >"$engine_log"
    start_dockerd || start_dockerd --bridge=none --iptables=false --ip6tables=false || {
      tail -n "$log_tail_lines" "$engine_log"
      return 1
    }
  fi
}

step engine "starting the Docker engine" start_engine

# shellcheck shell=bash
# Shared by the scripts of tools/: messages, packages, building. Sourced, not run.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

set -a
# shellcheck source=tools/launcher.env
source "$root/tools/launcher.env"
set +a

say() { printf '%s: %s\n' "$(basename "$0")" "$*"; }
die() {  # die CODE MESSAGE
  local code=$1
  shift
  printf '%s: error: %s\n' "$(basename "$0")" "$*" >&2
  exit "$code"
}
need_value() {  # need_value OPTION COUNT_OF_WORDS_LEFT
  (($2 >= 2)) || die 2 "$1 needs a value; $(basename "$0") --help shows how"
}
check_number() {  # check_number OPTION VALUE
  [[ $2 =~ ^[1-9][0-9]*$ ]] || die 2 "$1: '$2' is not a whole number above 0"
}

packages_of() {  # packages_of SECTION...: their packages, one a line
  local section
  for section in "$@"; do
    awk -v section="$section" '$1 == section { print $2 }' "$root/tools/packages.txt"
  done | sort -u
}

missing_of() {  # missing_of PACKAGE...: those that are not installed, one a line
  local package
  for package in "$@"; do
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
      echo "$package"
  done
}

as_root() {
  if ((EUID == 0)); then
    "$@"
  elif [[ -t 0 ]]; then
    sudo "$@"
  else
    sudo -n "$@"
  fi
}

apt() {
  as_root env DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a apt-get -q -y \
    -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 "$@"
}

# ensure_packages install|refuse "SECTIONS" ["OPTIONAL SECTIONS"]
# Installs what is missing of these sections. An optional package that cannot be had is left out.
ensure_packages() {
  local mode=$1 package
  local -a needed optional wanted=()
  if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
    say "not a Debian or Ubuntu system: packages are not checked (list: tools/packages.txt)"
    return
  fi
  # shellcheck disable=SC2046,SC2086  # words are meant
  mapfile -t needed < <(missing_of $(packages_of $2))
  # shellcheck disable=SC2046,SC2086
  mapfile -t optional < <(missing_of $(packages_of ${3:-}))
  if [[ $mode == refuse ]]; then
    ((${#optional[@]} == 0)) || say "optional packages that are not installed: ${optional[*]}"
    ((${#needed[@]} == 0)) && return
    die 2 "--no-install is given, but packages are missing. Please install them:" \
      "apt-get install ${needed[*]}"
  fi
  ((${#needed[@]} + ${#optional[@]} == 0)) && return
  if ((EUID != 0)) && ! command -v sudo >/dev/null; then
    ((${#needed[@]} == 0)) && { say "going on without ${optional[*]}"; return; }
    die 2 "not root, and no sudo. Please have these packages installed: ${needed[*]}"
  fi

  say "packages to install: ${needed[*]} ${optional[*]}"
  apt update >/dev/null || say "apt-get update failed; trying with the lists that are here"
  for package in "${optional[@]}"; do
    if [[ $(apt-cache policy "$package" 2>/dev/null) == *"Candidate: "[0-9]* ]]; then
      wanted+=("$package")
    else
      say "going on without $package: this system does not offer it"
    fi
  done
  if apt install --no-install-recommends "${needed[@]}" "${wanted[@]}"; then return; fi
  ((${#needed[@]} == 0)) && { say "going on without ${wanted[*]}"; return; }
  apt install --no-install-recommends "${needed[@]}" ||
    die 2 "installing failed (see above). Please install: apt-get install ${needed[*]}"
}

# Compilers of a build at once: one a core, and a GiB of memory for each.
default_jobs() {
  local cores gib
  cores=$(nproc)
  gib=$(awk '/MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)
  ((gib < 1)) && gib=1
  echo $((cores < gib ? cores : gib))
}

# build PRESET JOBS TESTS [TARGET]: configures, with the tests or without (ON, OFF), and builds; ccache
# is used where it is installed.
build() {
  local preset=$1 jobs=$2 tests=$3
  if [[ -z ${CMAKE_CXX_COMPILER_LAUNCHER:-} ]] && command -v ccache >/dev/null; then
    export CMAKE_CXX_COMPILER_LAUNCHER=ccache
  fi
  export CCACHE_SLOPPINESS=${CCACHE_SLOPPINESS:-pch_defines,time_macros}
  mkdir -p "$root/build"
  (cd "$root" && cmake --preset "$preset" -D RELGRAD_BUILD_TESTS="$tests" >"$root/build/configure.log" 2>&1) || {
    cat "$root/build/configure.log" >&2
    die 1 "configuring failed (above)"
  }
  grep 'relgrad:' "$root/build/configure.log" || true
  (cd "$root" && cmake --build --preset "$preset" -j "$jobs" ${4:+--target "$4"}) ||
    die 1 "the build failed (above)"
}

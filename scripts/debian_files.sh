#!/usr/bin/env bash
# debian_files.sh PACKAGE: unpack a Debian package's files into build/debian/PACKAGE, without installing it (no root needed).
source "$(dirname "$0")/step.sh"

package=$1
target=build/debian/$package
[ ! -d "$target" ] || exit 0
command -v apt-get >/dev/null || stop "the files of Debian's package $package are needed in $target"

download() {
  # As root, apt drops to a user who may not write here, and says so; the download succeeds all the same.
  (cd "$scratch" && { apt-get download "$package" || { [ "$(id -u)" = 0 ] && apt_get update && apt-get download "$package"; }; })
}

unpack() {
  download
  dpkg-deb --extract "$scratch"/*.deb "$scratch/files"
  # Renamed into place when it is whole, so that an interrupted run leaves nothing half done.
  mv "$scratch/files" "$target"
}

mkdir -p build/debian
scratch=$(mktemp -d build/debian/.unpacking.XXXXXX)
trap 'rm -rf "$scratch"' EXIT
step files "Debian's $package" unpack

#!/bin/sh
# Inside namespaces of its own: put an image's layers together, and do one step in there.
# layers.sh LOWERS SCRATCH CERTIFICATES CACHE NAME=VALUE… PROGRAM…; what it writes is in SCRATCH/upper
# A PROGRAM is run in the root of the image; `copy FROM-LOWERS …` copies from another image.
set -eu
lowers=$1 scratch=$2 certificates=$3 cache=$4
shift 4
root=$scratch/root
mount --make-rprivate /
mount -t overlay overlay \
    -o "lowerdir=$lowers,upperdir=$scratch/upper,workdir=$scratch/work" "$root"
if [ "$1" = copy ]; then
    shift
    from=$scratch/from # a plain folder under another is one, too
    mount -t overlay overlay -o "lowerdir=$1:$scratch/nothing" "$from"
    target=$2 mode=$3
    shift 3
    for source in "$@"; do
        # shellcheck disable=SC2086  # a pattern of the Dockerfile's
        for found in $from/$source; do
            if [ -d "$found" ]; then
                mkdir -p "$root$target"
                cp -a "$found/." "$root$target"
            else
                case $target in
                */) mkdir -p "$root$target" ;;
                *) mkdir -p "$root$(dirname "$target")" ;;
                esac
                cp -a "$found" "$root$target"
                [ "$mode" = - ] || chmod "$mode" "$root${target%/}"
            fi
        done
    done
    exit
fi
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/tmp"
cp "$certificates" "$root/tmp/certificates.crt"
if [ "$cache" != - ]; then
    mkdir -p "$root/root/.cache/uv"
    mount --bind "$cache" "$root/root/.cache/uv"
fi
exec chroot "$root" /usr/bin/env -i "$@"

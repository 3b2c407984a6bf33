#!/bin/sh
# Inside namespaces of its own: a container's root, read-only, and its first process.
# container.sh LOWERS SCRATCH USER GROUP -- [bind FROM TO | tmpfs TO MODE]… -- NAME=VALUE… PROGRAM…
set -eu
lowers=$1 scratch=$2 user=$3 group=$4
shift 5
root=$scratch/root
mount --make-rprivate /
mount -t overlay overlay \
    -o "lowerdir=$lowers,upperdir=$scratch/upper,workdir=$scratch/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs shm "$root/dev/shm"
while [ "$1" != -- ]; do
    case $1 in
    bind)
        if [ -d "$2" ]; then mkdir -p "$root$3"; else
            mkdir -p "$root$(dirname "$3")"
            : >>"$root$3"
        fi
        mount --bind "$2" "$root$3"
        ;;
    tmpfs)
        mkdir -p "$root$2"
        mount -t tmpfs -o "mode=$3,uid=0,gid=0" tmpfs "$root$2"
        ;;
    esac
    shift 3
done
shift
: >"$scratch/ready" # from here on the layer is as the image is
mount -o remount,bind,ro "$root"
exec chroot "$root" /usr/bin/setpriv --reuid="$user" --regid="$group" --clear-groups \
    --no-new-privs --bounding-set=-all --inh-caps=-all /usr/bin/env -i "$@"

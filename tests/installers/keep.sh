#!/bin/sh
# The first process of a machine's outer namespaces: puts the machine's file system together, waits
# until whoever made it is gone (the end of its standard input, so a killed test run counts too),
# and leaves nothing behind.
# Usage: keep.sh FOLDER BASE, or several below each other: UPPER:…:BASE
set -eu
folder=$1 base=$2
cgroups=$folder/cgroups
group=$cgroups/$(basename "$folder")
mkdir -p "$folder/root" "$folder/upper" "$folder/work" "$cgroups"
mount -t overlay overlay -o "lowerdir=$base,upperdir=$folder/upper,workdir=$folder/work" "$folder/root"
mount -t cgroup2 cgroup2 "$cgroups"
mkdir "$group"
echo ready

cat >/dev/null || :

kill -KILL -1 2>/dev/null || : # all of this machine; nobody else is in this namespace of processes
umount -l "$folder/root" || :
tries=0
until find "$group" -depth -type d -exec rmdir {} + 2>/dev/null; do
    tries=$((tries + 1))
    [ "$tries" -lt 6000 ] || break
    sleep 0.02
done
umount -l "$cgroups" || :
rm -rf --one-file-system "$folder"

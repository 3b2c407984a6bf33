#!/bin/sh
# What runs in a machine's inner namespaces: gives it a /proc, /sys and /dev of its own and starts
# the rest of the arguments there, `/lib/systemd/systemd` where it is to boot.
# Usage: enter.sh FOLDER PROGRAM [ARGUMENT …]
set -eu
folder=$1
root=$folder/root
shift
hostname "$(basename "$folder")"
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
# The kernel's settings and its devices are the host's: to be read only.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/run"
# Nothing begins by the clock: neither Debian's daily work nor our look for updates falls into a test.
units=$root/run/systemd/system
mkdir -p "$units"
for timer in apt-daily apt-daily-upgrade dpkg-db-backup e2scrub_all fstrim systemd-tmpfiles-clean; do
    ln -s /dev/null "$units/$timer.timer"
done
for timer in byoi-update byoi-update-resume; do
    mkdir "$units/$timer.timer.d"
    printf '[Timer]\nOnCalendar=\nOnBootSec=\nOnCalendar=2099-01-01\n' >"$units/$timer.timer.d/never.conf"
done
cd "$root"
pivot_root . .
umount -l .
# What systemd mounts for one service, such as its credentials, must get to where that service looks.
mount --make-rshared /
exec /usr/bin/env -i container=byoi-test TERM=dumb HOME=/root LANG=C.UTF-8 \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"

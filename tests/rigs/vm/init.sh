#!/bin/busybox sh
# The first program in the virtual machine: mount this computer's root, read-only, with a layer
# of memory above it, and go on there.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do insmod $module 2>/dev/null; done
GUEST=$(sed 's/.*guest=\([^ ]*\).*/\1/' /proc/cmdline)
mkdir /mnt/ro /mnt/rw /mnt/new
mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=1048576,cache=loose root /mnt/ro || poweroff -f
mount -t tmpfs -o size=1g tmpfs /mnt/rw
mkdir /mnt/rw/upper /mnt/rw/work
mount -t overlay -o lowerdir=/mnt/ro,upperdir=/mnt/rw/upper,workdir=/mnt/rw/work overlay /mnt/new
for name in proc sys dev; do mount --move /$name /mnt/new/$name; done
mount -t tmpfs tmpfs /mnt/new/run
mkdir -p /mnt/new/dev/pts /mnt/new/dev/shm
mount -t devpts devpts /mnt/new/dev/pts
mount -t tmpfs tmpfs /mnt/new/dev/shm
exec switch_root /mnt/new /bin/sh $GUEST

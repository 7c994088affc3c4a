#!/bin/busybox sh
# The first process of a machine with a system on its disk: loads the drivers, lays over the disk, in memory, what it was
# given and all that will be written, and starts the system.
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do
    case $module in
    *vivid*) insmod "$module" n_devs=1 node_types=0x1 num_inputs=1 input_types=0x0 ;;
    *) insmod "$module" ;;
    esac
done
mkdir /disk /written /system
mount -t squashfs -o ro /dev/vda /disk
mount -t tmpfs written /written
mkdir /written/upper /written/work
mount -t overlay -o lowerdir=/disk,upperdir=/written/upper,workdir=/written/work overlay /system
cp -a /given /system/
umount /proc /sys
mount --move /dev /system/dev
exec switch_root /system /lib/systemd/systemd

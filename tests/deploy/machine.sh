#!/bin/bash
# The first process of a machine of its own: prepares a view of this host, and becomes systemd.  See machine.py.
# EDGE_REPOSITORY, EDGE_PYTHON (a Python's prefix), EDGE_SITE (its packages): what the services run on.
set -euo pipefail
mount --make-rprivate /
top=/mnt
mount -t tmpfs tmpfs "$top"
for folder in etc var opt; do # what is written stays in memory, and goes with the machine
    mkdir -m 755 "$top/$folder" "$top/$folder.work"
    mount -t overlay overlay -o "lowerdir=/$folder,upperdir=$top/$folder,workdir=$top/$folder.work" "/$folder"
done
mkdir -p /opt/edge-src /opt/edge-py /opt/edge-env /opt/edge/bin
mount --bind "$EDGE_REPOSITORY" /opt/edge-src
mount --bind "$EDGE_PYTHON" /opt/edge-py
mount --bind "$EDGE_SITE" /opt/edge-env
cat >/opt/edge/bin/edge <<'PROGRAM'
#!/bin/sh
export PYTHONPATH=/opt/edge-src:/opt/edge-env LD_LIBRARY_PATH=/opt/edge-py/lib PYTHONDONTWRITEBYTECODE=1
exec /opt/edge-py/bin/python3 -m edge "$@"
PROGRAM
chmod 755 /opt/edge/bin/edge
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs tmpfs /tmp

# Its own control groups: of the same kind as this host's.
umount -R /sys/fs/cgroup
if [ "$EDGE_CGROUPS" = 2 ]; then
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
else
    mount -t tmpfs tmpfs /sys/fs/cgroup
    mkdir /sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd
fi

# Nothing that would reach the host: no kernel settings, no clock, no devices, no disks; only what the test starts.
cd /etc/systemd/system
rm -rf ./*.wants
for unit in dev-hugepages.mount dev-mqueue.mount kmod-static-nodes.service proc-sys-fs-binfmt_misc.automount \
    sys-fs-fuse-connections.mount sys-kernel-config.mount sys-kernel-debug.mount sys-kernel-tracing.mount \
    systemd-binfmt.service systemd-firstboot.service systemd-hwdb-update.service systemd-journal-flush.service \
    systemd-machine-id-commit.service systemd-modules-load.service systemd-pcrphase-sysinit.service \
    systemd-pcrphase.service systemd-random-seed.service systemd-remount-fs.service systemd-repart.service \
    systemd-sysctl.service systemd-sysusers.service systemd-timesyncd.service systemd-tmpfiles-setup-dev.service \
    systemd-tmpfiles-setup.service systemd-udev-trigger.service systemd-udevd-control.socket \
    systemd-udevd-kernel.socket systemd-udevd.service systemd-update-utmp.service; do
    ln -sf /dev/null "$unit"
done
printf '[Unit]\nDescription=a machine for a test\nDefaultDependencies=no\n' >edge-machine.target
: >/etc/fstab
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=edge-machine.target --show-status=no

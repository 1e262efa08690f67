# Runs as the first process of new namespaces: lays a throw-away copy of this machine over a tmpfs and becomes systemd in it.
#   boot.sh FOLDER VISIBLE...    FOLDER is scratch space; each VISIBLE path can be read inside by every user
set -eu
folder=$1
shift
root=$folder/root
layer=$folder/layer

mount --make-rprivate /
mkdir "$root" "$layer"
mount -t tmpfs -o mode=0755 layer "$layer"
mkdir "$layer/changes" "$layer/scratch"
mount -t overlay -o "lowerdir=/,upperdir=$layer/changes,workdir=$layer/scratch" machine "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mkdir -p "$root/sys/fs/cgroup"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=0755 run "$root/run"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"

for path in "$@"; do
  # The overlay shows one file system. What lies on another one, or under /tmp, is bound in, read-only.
  if ! [ -e "$root$path/bin" ] && ! [ -e "$root$path/pyproject.toml" ]; then
    mkdir -p "$root$path"
    mount --bind "$path" "$root$path"
    mount -o remount,bind,ro "$root$path"
  fi
  # Services run as users who may otherwise not get this far down. Above a bound path there is only our own copy.
  parent=$(dirname "$path")
  while [ "$parent" != / ]; do
    chmod o+x "$root$parent"
    parent=$(dirname "$parent")
  done
done

# A machine of its own: it starts none of the services that happen to be enabled here.
rm -rf "$root/etc/systemd/system" "$root/etc/machine-id"
mkdir "$root/etc/systemd/system"
head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$root/etc/machine-id"

cd "$root"
mkdir -p host
pivot_root . host
umount -l /host
exec env -i container=sleepd-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --system --unit=multi-user.target

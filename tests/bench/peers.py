# SPDX-License-Identifier: GPL-2.0-or-later
"""A resynchronization against what else copies disks, side by side.

peers.py [--size MIB] [--rounds N] [--work FOLDER] [--only TOOL,...] [LOAD...]

Loads: scatter1, scatter5, scatter50 (percent of the 64 KiB granules), cluster5, full,
zero90, text. Each round changes the source anew, drops the page cache and times one
run of the tool, over TCP on loopback. Printed are medians and, at the end, every round:
wall time, CPU of both sides, bytes on the loopback interface (both directions, with
headers), peak memory of each side. Tidemark and the floor end with durable bytes, and
Tidemark with a point; the others as they do by themselves, unless their name ends with
"fsync": then the target's bytes are made durable within the measured time. What Tidemark
does once the sender knows that the point is durable, the merge of the point into the raw
replica, is told apart.

Tidemark runs without the kernel module (send-bits): the list of granules is given, as
qemu-storage-daemon is given its bitmap. What a VM and a tracker cost is measured by
target.sh.
"""
import argparse
import glob
import json
import os
import random
import select
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time

GRANULE = 65536
HELPERS = os.path.abspath("build/helpers")
TIDEMARK = os.path.abspath("build/bin/tidemark")
PYTHON = "/usr/bin/python3"  # that Debian's modules are for
TICK = os.sysconf("SC_CLK_TCK")


def die(text):
    sys.exit("peers: " + text)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_port(port):
    for _ in range(200):
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    die("nobody listens on port %d" % port)


def wait_for(condition, what):
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.02)
    die("waited in vain for " + what)


def loopback_bytes():
    with open("/proc/net/dev") as f:
        for line in f:
            if line.strip().startswith("lo:"):
                return int(line.split()[9])
    return 0


def cpu_of(pid):
    with open("/proc/%d/stat" % pid) as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def peak_of(pid):
    with open("/proc/%d/status" % pid) as f:
        for line in f:
            if line.startswith("VmHWM"):
                return int(line.split()[1])
    return 0


class Server:
    """The other side: started before the clock runs, its CPU is read when it stops."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        self.pid = self.process.pid

    def stop(self):
        """Return: CPU seconds, with those of children that it waited for, and peak KiB."""
        peak = peak_of(self.pid)
        os.kill(self.pid, signal.SIGTERM)
        _, _, usage = os.wait4(self.pid, 0)
        self.process.returncode = 0
        return usage.ru_utime + usage.ru_stime, peak


def watch(signs):
    """Wait until each of these descriptors has something to read.

    Return: the peak KiB until then of the process that it belongs to, for each process."""
    peaks = dict.fromkeys(signs.values(), 0)
    waiting = dict(signs)
    there = select.poll()
    for sign in signs:
        there.register(sign, select.POLLIN)
    while waiting:
        # The kernel's own peak is that of this program, before the exec: look now and then.
        for sign, _ in there.poll(5):
            there.unregister(sign)
            del waiting[sign]
        for process in waiting.values():
            peaks[process] = peak_of(process.pid) or peaks[process]
    return peaks


def watch_to_end(processes):
    """Wait until all of these have ended. Return: peak KiB of each."""
    ends = {os.pidfd_open(process.pid): process for process in processes}
    peaks = watch(ends)
    for end in ends:
        os.close(end)
    return peaks


def reap(process):
    """Return: CPU seconds of all of its life."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    if status:
        die("%s failed" % process.args[0])
    return usage.ru_utime + usage.ru_stime


def client(command):
    """Run to the end. Return: seconds, CPU seconds, peak KiB."""
    # The program itself is not to be read from the disk.
    subprocess.run([command[0], "--version"], stdout=subprocess.DEVNULL, check=True)
    begun = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    peak = watch_to_end([process])[process]
    wall = time.monotonic() - begun
    return wall, reap(process), peak


def told(command):
    """The same of a program of tests/helpers/told.h: from when it is told to when it is done."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    if process.stdout.readline() != b"ready\n":
        die("%s does not get ready" % command[0])
    begun = time.monotonic()
    process.stdin.write(b"\n")
    peak = watch({process.stdout.fileno(): process})[process]
    wall = time.monotonic() - begun
    process.stdout.read()
    return wall, reap(process), peak


class Tool:
    """One way to copy. setup(): the target is as the source; run(): one timed round."""
    name = needs = ""
    whole = False  # does it always copy everything?
    later = 0.0  # CPU seconds that the last round cost after its end

    def __init__(self, bench):
        self.bench = bench
        self.target = os.path.join(bench.work, "target.img")

    def fits(self):
        """Does it say anything about this load?"""
        return True

    def absent(self):
        return self.needs and not shutil.which(self.needs)

    def setup(self):
        if not self.bench.full:
            shutil.copyfile(self.bench.source, self.target)

    def before(self):
        """The source has other bytes now; a first copy has a new target."""
        if self.bench.full:
            self.end()
            with open(self.target, "wb") as f:
                f.truncate(self.bench.size)

    def end(self):
        if os.path.exists(self.target):
            os.unlink(self.target)

    def version(self):
        return ""


def timed(command, server, stop=True, run=client):
    wall, cpu, peak = run(command)
    there, there_peak = server.stop() if stop else (cpu_of(server.pid), peak_of(server.pid))
    return wall, cpu + there, peak, there_peak


class Floor(Tool):
    name = "floor"

    def run(self):
        port_file = os.path.join(self.bench.work, "port")
        if os.path.exists(port_file):
            os.unlink(port_file)
        server = Server([HELPERS + "/floor", "receive", port_file, self.target])
        wait_for(lambda: os.path.exists(port_file) and os.path.getsize(port_file), "the floor")
        port = open(port_file).read().strip()
        return timed([HELPERS + "/floor", "send", port, self.bench.source, self.bench.list],
                     server, run=told)


class Tidemark(Tool):
    name = "tidemark"
    secure = False

    def begin(self):
        port_file = os.path.join(self.bench.work, "port")
        if os.path.exists(port_file):
            os.unlink(port_file)
        tls = ["--tls-dir", self.bench.certificates("server"), "--peer", "bench"] \
            if self.secure else []
        self.server = Server([HELPERS + "/receiver-run", "--port-file", port_file, *tls,
                              self.store])
        wait_for(lambda: os.path.exists(port_file) and os.path.getsize(port_file), "a receiver")
        self.port = open(port_file).read().strip()

    def settle(self):
        wait_for(lambda: not glob.glob(self.store + "/*/*/*/point-*.qcow2"), "the merge")

    def command(self):
        self.epoch += 1
        tls = [self.bench.certificates("client")] if self.secure else []
        return [HELPERS + "/send-bits", "--told", self.port, self.bench.source, self.bench.list,
                str(self.epoch), *tls]

    def setup(self):
        self.store = os.path.join(self.bench.work, "store")
        self.epoch = 0
        self.server = None
        shutil.rmtree(self.store, ignore_errors=True)
        if self.bench.full:
            return
        self.begin()
        told(self.command())
        self.settle()

    def before(self):
        if self.bench.full:
            self.end()
            self.epoch = 0
            self.begin()

    def run(self):
        before = cpu_of(self.server.pid)
        result = timed(self.command(), self.server, stop=False, run=told)
        durable = cpu_of(self.server.pid)
        self.settle()
        self.later = cpu_of(self.server.pid) - durable
        return result[0], result[1] - before, result[2], result[3]

    def end(self):
        if self.server:
            self.server.stop()
        shutil.rmtree(self.store, ignore_errors=True)


class TidemarkTls(Tidemark):
    name, secure = "tidemark, TLS 1.3", True


class Nbdkit(Tool):
    """What writes to an nbdkit server."""

    def serve(self, *options):
        port = free_port()
        server = Server(["nbdkit", "-f", "-p", str(port), "-i", "127.0.0.1", *options, "file",
                         self.target])
        wait_port(port)
        return port, server

    def flush(self):
        """Return: CPU seconds of this program's that it took."""
        before = time.thread_time()
        fd = os.open(self.target, os.O_WRONLY)
        os.fdatasync(fd)
        os.close(fd)
        return time.thread_time() - before


class Nbdcopy(Nbdkit):
    name, needs, whole = "nbdcopy, 4 connections", "nbdcopy", True

    def run(self):
        port, server = self.serve()
        return timed(["nbdcopy", "--connections=4", self.bench.source,
                      "nbd://127.0.0.1:%d" % port], server)


class NbdcopyDurable(Nbdcopy):
    name = "nbdcopy, 4 connections, fsync"

    def run(self):
        wall, cpu, here, there = super().run()
        begun = time.monotonic()
        cpu += self.flush()
        return wall + time.monotonic() - begun, cpu, here, there


class NbdcopyTls(Nbdkit):
    name, needs, whole = "nbdcopy, 4 connections, TLS", "nbdcopy", True

    def run(self):
        port, server = self.serve("--tls=require", "--tls-verify-peer",
                                  "--tls-certificates=" + self.bench.certificates("server"))
        return timed(["nbdcopy", "--connections=4", self.bench.source,
                      "nbds://127.0.0.1:%d?tls-certificates=%s"
                      % (port, self.bench.certificates("client"))], server)


class Convert(Nbdkit):
    name, needs, whole = "qemu-img convert", "qemu-img", True

    def absent(self):
        return super().absent() or not shutil.which("nbdkit")

    def run(self):
        port, server = self.serve()
        return timed(["qemu-img", "convert", "-n", "-f", "raw", "-T", "none", "-O", "raw",
                      self.bench.source, "nbd://127.0.0.1:%d" % port], server)


class Qmp:
    def __init__(self, path):
        wait_for(lambda: os.path.exists(path), "qemu-storage-daemon")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.file = self.socket.makefile("rw")
        json.loads(self.file.readline())
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        json.dump({"execute": command, "arguments": arguments}, self.file)
        self.file.write("\n")
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline())
            if "error" in answer:
                die("%s: %s" % (command, answer["error"]["desc"]))
            if "return" in answer:
                return answer["return"]

    def until(self, event):
        while json.loads(self.file.readline()).get("event") != event:
            pass


class StorageDaemon(Nbdkit):
    name, needs = "qemu-storage-daemon, bitmap -> nbdkit", "qemu-storage-daemon"
    durable = False

    def absent(self):
        return super().absent() or not shutil.which("nbdkit")

    def start(self):
        """The daemon, with the source and its bitmap. Return: its process, QMP."""
        work = self.bench.work
        if os.path.exists(work + "/qmp"):
            os.unlink(work + "/qmp")
        daemon = Server(["qemu-storage-daemon",
                         "--chardev", "socket,path=%s/qmp,server=on,wait=off,id=q" % work,
                         "--monitor", "chardev=q",
                         "--blockdev", "driver=file,filename=%s,node-name=f,cache.direct=on,"
                         "aio=io_uring" % self.bench.source,
                         "--blockdev", "driver=raw,file=f,node-name=src"])
        qmp = Qmp(work + "/qmp")
        qmp.ask("block-dirty-bitmap-add", node="src", name="b", granularity=GRANULE)
        self.mark(qmp)
        return daemon, qmp

    def run(self):
        port, server = self.serve()
        daemon, qmp = self.start()
        drop_caches()
        before = cpu_of(daemon.pid) + cpu_of(server.pid)
        wire = loopback_bytes()
        begun = time.monotonic()
        qmp.ask("blockdev-add", **{"driver": "nbd", "node-name": "tgt", "server": {
            "type": "inet", "host": "127.0.0.1", "port": str(port)}})
        qmp.ask("blockdev-backup", **{"job-id": "j", "device": "src", "target": "tgt",
                                      "sync": "full" if self.bench.full else "bitmap",
                                      **({} if self.bench.full else
                                         {"bitmap": "b", "bitmap-mode": "never"})})
        qmp.until("BLOCK_JOB_COMPLETED")
        flush = self.flush() if self.durable else 0
        wall = time.monotonic() - begun
        self.wire = loopback_bytes() - wire
        cpu = cpu_of(daemon.pid) + cpu_of(server.pid) - before + flush
        peaks = peak_of(daemon.pid), peak_of(server.pid)
        daemon.stop()
        server.stop()
        return wall, cpu, peaks[0], peaks[1]

    def mark(self, qmp):
        """The same bytes again, through the daemon: that is how its bitmap is told."""
        if self.bench.full:
            return
        path = self.bench.work + "/mark"
        if os.path.exists(path):
            os.unlink(path)
        qmp.ask("nbd-server-start", addr={"type": "unix", "data": {"path": path}})
        qmp.ask("block-export-add", **{"type": "nbd", "id": "m", "node-name": "src",
                                       "name": "src", "writable": True})
        script = "".join("write -q -s %s %d %d\n" % (self.bench.source_part(o, n), o, n)
                         for o, n in self.bench.runs)
        subprocess.run(["qemu-io", "-f", "raw", "nbd+unix:///src?socket=" + path],
                       input=script.encode(), check=True, stdout=subprocess.DEVNULL)
        qmp.ask("nbd-server-stop")


class StorageDaemonDurable(StorageDaemon):
    name, durable = "qemu-storage-daemon, nbdkit, fsync", True


class Pull(StorageDaemon):
    """QEMU's server of `qemu-nbd -B`, and a client that reads what its bitmap has set."""
    name, needs = "QEMU's NBD bitmap, libnbd pull, fsync", "python3-libnbd"

    def absent(self):
        return subprocess.run([PYTHON, "-c", "import nbd"], stderr=subprocess.DEVNULL,
                              check=False).returncode

    def run(self):
        port = free_port()
        daemon, qmp = self.start()
        qmp.ask("block-dirty-bitmap-disable", node="src", name="b")
        qmp.ask("nbd-server-start", addr={"type": "inet", "data": {
            "host": "127.0.0.1", "port": str(port)}})
        qmp.ask("block-export-add", **{"type": "nbd", "id": "e", "node-name": "src",
                                       "name": "src",
                                       **({} if self.bench.full else {"bitmaps": ["b"]})})
        drop_caches()
        before, wire = cpu_of(daemon.pid), loopback_bytes()
        wall, cpu, there = client([PYTHON, "tests/bench/pull.py",
                                   "nbd://127.0.0.1:%d/src" % port,
                                   "-" if self.bench.full else "b", self.target])
        self.wire = loopback_bytes() - wire
        cpu += cpu_of(daemon.pid) - before
        peak = peak_of(daemon.pid)
        daemon.stop()
        return wall, cpu, peak, there


class Rsync(Tool):
    name, needs = "rsync --inplace, daemon", "rsync"

    def run(self):
        port = free_port()
        conf = os.path.join(self.bench.work, "rsyncd.conf")
        with open(conf, "w") as f:
            f.write("use chroot = no\nuid = %d\ngid = %d\n[m]\npath = %s\nread only = no\n"
                    % (os.getuid(), os.getgid(), self.bench.work))
        server = Server(["rsync", "--daemon", "--no-detach", "--config=" + conf,
                         "--port=%d" % port, "--address=127.0.0.1"])
        wait_port(port)
        how = "--whole-file" if self.bench.full else "--no-whole-file"
        return timed(["rsync", "--inplace", how, "--ignore-times", self.bench.source,
                      "rsync://127.0.0.1:%d/m/target.img" % port], server)


class Piped(Tool):
    """What speaks over its standard streams gets TCP connections in their place."""

    def listen(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.there = []

    def accept(self, command):
        """The receiving end of the next connection."""
        connection, _ = self.listener.accept()
        with connection:
            self.there.append(subprocess.Popen(command, stdin=connection, stdout=connection,
                                               stderr=subprocess.DEVNULL))

    def send(self, command, receiver):
        """What that command prints is what the receiver reads."""
        with socket.create_connection(self.listener.getsockname()) as connection:
            self.accept(receiver)
            self.here = subprocess.Popen(command, stdout=connection, stderr=subprocess.DEVNULL)

    def finish(self, begun):
        self.listener.close()
        processes = [self.here, *self.there]
        peaks = watch_to_end(processes)
        wall = time.monotonic() - begun
        cpu = sum(reap(process) for process in processes)
        return wall, cpu, peaks[self.here], max(peaks[process] for process in self.there)


class Bdsync(Piped):
    """Both sides hash; what differs is written by a process of its own."""
    name, needs = "bdsync, 64 KiB", "bdsync"

    def run(self):
        self.listen()
        remote = "%s tests/bench/streams.py %d" % (PYTHON, self.listener.getsockname()[1])
        begun = time.monotonic()
        self.send(["bdsync", "--blocksize=%d" % GRANULE, remote, self.bench.source, self.target],
                  ["bdsync", "--patch=" + self.target])
        self.accept(["bdsync", "--server"])
        return self.finish(begun)


class Blocksync(Piped):
    """It compares the source with the hashes that it has kept of the last time."""
    name, needs = "blocksync-fast, 64 KiB", "blocksync-fast"

    def __init__(self, bench):
        super().__init__(bench)
        self.digest = os.path.join(bench.work, "digest")

    def delta(self):
        return ["blocksync-fast", "--make-delta", "--silent", "--block-size=%d" % GRANULE,
                "-s", self.bench.source, "-f", self.digest]

    def setup(self):
        super().setup()
        if not self.bench.full:
            subprocess.run(self.delta(), check=True, stdout=subprocess.DEVNULL)

    def run(self):
        self.listen()
        begun = time.monotonic()
        self.send(self.delta(), ["blocksync-fast", "--apply-delta", "--silent", "-d", self.target])
        return self.finish(begun)

    def end(self):
        super().end()
        if os.path.exists(self.digest):
            os.unlink(self.digest)


class Disk(Tool):
    """No network, no checksums: what the disk itself takes for a durable first copy.

    fio takes a third of a second to start and to end, which is in its time."""
    name, needs = "the disk alone: fio, fsync", "fio"

    def fits(self):
        return self.bench.load == "full"

    def run(self):
        common = ["--ioengine=io_uring", "--direct=1", "--iodepth=8", "--bs=1m",
                  "--fallocate=none", "--size=%d" % self.bench.size]
        wall, cpu, peak = client(["fio", *common, "--name=read", "--rw=read",
                                  "--filename=" + self.bench.source, "--name=write",
                                  "--rw=write", "--end_fsync=1", "--filename=" + self.target])
        return wall, cpu, peak, 0


TOOLS = [Floor, Tidemark, StorageDaemon, StorageDaemonDurable, Pull, Nbdcopy, NbdcopyDurable,
         Convert, Rsync, TidemarkTls, NbdcopyTls, Bdsync, Blocksync, Disk]


def drop_caches():
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("3\n")
    except OSError:
        pass


def touch_memory(count):
    """Have the machine hold this many bytes of memory that are free.

    A virtual machine's host may have taken back what is free, and the first who writes
    there then waits for it: that is no tool's cost."""
    piece = bytes(1 << 20)
    fd = os.memfd_create("touched")
    for _ in range(count // len(piece)):
        os.write(fd, piece)
    os.close(fd)


class Bench:
    def __init__(self, work, size, load, seed):
        self.work, self.size, self.load = work, size, load
        self.source = os.path.join(work, "source.img")
        self.list = os.path.join(work, "list")
        self.random = random.Random(seed)
        self.full = load in ("full", "zero90", "text")
        self.part = os.path.join(work, "part")
        self.make()

    def bytes(self, count):
        if self.load == "text":
            words = b" ".join(b"%x" % self.random.getrandbits(20) for _ in range(256))
            return (words * (count // len(words) + 1))[:count]
        return self.random.randbytes(count)

    def make(self):
        with open(self.source, "wb") as f:
            f.truncate(self.size)
            for at in range(0, self.size, GRANULE):
                if self.load != "zero90" or self.random.random() < 0.1:
                    f.seek(at)
                    f.write(self.bytes(GRANULE))
        count = self.size // GRANULE
        percent = {"scatter1": 1, "scatter5": 5, "scatter50": 50}.get(self.load)
        if percent:
            chosen = sorted(self.random.sample(range(count), count * percent // 100))
        elif self.load == "cluster5":
            run = 64  # 4 MiB in a row
            starts = self.random.sample(range(0, count - run, run), max(1, count // 20 // run))
            chosen = sorted(g for s in starts for g in range(s, s + run))
        else:
            chosen = range(count)
        self.runs = []
        for g in chosen:
            if self.runs and sum(self.runs[-1]) == g * GRANULE:
                self.runs[-1] = (self.runs[-1][0], self.runs[-1][1] + GRANULE)
            else:
                self.runs.append((g * GRANULE, GRANULE))
        with open(self.list, "w") as f:
            f.writelines("%d %d\n" % r for r in self.runs)

    def change(self):
        if self.full:
            return
        with open(self.source, "r+b") as f:
            for offset, length in self.runs:
                f.seek(offset)
                f.write(self.bytes(length))
            os.fsync(f.fileno())

    def certificates(self, side):
        """A folder with what this side needs to speak TLS, made once."""
        top = os.path.join(self.work, "tls")
        os.makedirs(top, exist_ok=True)
        for make in (["init", "Bench"], ["server", "127.0.0.1", "-o", top + "/server"],
                     ["client", "bench", "-o", top + "/client"]):
            if not os.path.exists(top + "/client/client-cert.pem"):
                subprocess.run([TIDEMARK, "pki", *make, "-d", top + "/ca"], check=True,
                               stdout=subprocess.DEVNULL)
        return os.path.join(top, side)

    def source_part(self, offset, length):
        """A file with these bytes of the source."""
        path = "%s.%d" % (self.part, offset)
        with open(self.source, "rb") as f, open(path, "wb") as g:
            f.seek(offset)
            g.write(f.read(length))
        return path


def measure(bench, kind, rounds):
    tool = kind(bench)
    tool.setup()
    rows = []
    for _ in range(rounds):
        bench.change()
        tool.before()
        drop_caches()
        touch_memory(2 * bench.size)
        wire = loopback_bytes()
        wall, cpu, here, there = tool.run()
        wire = getattr(tool, "wire", None) or loopback_bytes() - wire
        rows.append((wall, cpu, wire, here, there, tool.later))
    tool.end()
    for path in glob.glob(bench.part + ".*"):
        os.unlink(path)
    return rows


def versions():
    for command in (["uname", "-sr"], ["qemu-img", "--version"], ["nbdkit", "--version"],
                    ["nbdcopy", "--version"], ["rsync", "--version"]):
        if shutil.which(command[0]):
            out = subprocess.run(command, capture_output=True, text=True, check=False).stdout
            print("#", out.split("\n")[0])
    print("# %d CPUs, load %s" % (os.cpu_count(), open("/proc/loadavg").read().split()[0]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", default="build/bench/peers")
    parser.add_argument("--only", default="")
    parser.add_argument("loads", nargs="*")
    args = parser.parse_args()
    loads = args.loads or ["scatter1", "scatter5", "scatter50", "cluster5", "full", "zero90",
                           "text"]
    only = [o for o in args.only.split(",") if o]
    raw = []

    work = os.path.abspath(args.work)
    os.makedirs(work, exist_ok=True)
    versions()
    for load in loads:
        bench = Bench(work, args.size << 20, load, 1)
        print("\n%s: %d MiB in %d runs, of %d MiB" % (load, sum(n for _, n in bench.runs) >> 20,
                                                      len(bench.runs), args.size))
        print("%-38s %8s %8s %9s %8s %8s  %s" % ("median of %d" % args.rounds, "wall s", "CPU s",
                                                 "wire MB", "here MiB", "there", "x floor"))
        floor = None
        for kind in TOOLS:
            if only and not any(o in kind.name for o in only):
                continue
            if not kind(bench).fits():
                continue
            if kind(bench).absent():
                print("%-38s skipped: %s is not installed" % (kind.name, kind.needs))
                continue
            rows = measure(bench, kind, args.rounds)
            raw += [(load, kind.name, *r) for r in rows]
            m = [statistics.median(r[i] for r in rows) for i in range(6)]
            floor = m if kind is Floor else floor
            ratio = "%.2f wall, %.2f CPU" % (m[0] / floor[0], m[1] / max(floor[1], 0.01)) \
                if floor else ""
            if m[5]:
                ratio += "; merge %.2f CPU s" % m[5]
            print("%-38s %8.2f %8.2f %9.1f %8.1f %8.1f  %s" %
                  (kind.name, m[0], m[1], m[2] / 1e6, m[3] / 1024, m[4] / 1024, ratio),
                  flush=True)
    print("\nall rounds: load, tool, wall s, CPU s, wire bytes, peak KiB here, there, "
          "CPU s after it")
    for row in raw:
        print("%s; %s; %.3f; %.3f; %d; %d; %d; %.3f" % row)
    shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What a bulk server costs natively, user path against OpenSSH and Dropbear.

    tests/vm/inroot bench/native.py [OPTION]... >FILE

A question is asked of each server in turn, with the stock OpenSSH client, and
all of it again, so that a noisy moment hits them alike. A server is started for
each answer and its CPU time, children and all, is read when it has ended. One
JSON object a line; bench/report makes tables of them.
"""

import argparse
import collections
import datetime
import json
import os
import platform
import random
import re
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

PORT = 2297
READS_IN_FLIGHT = 64


def die(what):
    sys.exit(f"native: {what}")


class Server:
    """A server on PORT, from start to the end of its processes."""

    def __init__(self, kind, bench):
        self.log = open(f"{bench.dir}/log", "w+", encoding="utf-8")
        self.proc = subprocess.Popen(bench.command(kind), stderr=self.log,
                                     stdin=subprocess.DEVNULL)
        for _ in range(200):
            with socket.socket() as sock:
                if not sock.connect_ex(("127.0.0.1", PORT)):
                    break
            time.sleep(0.05)
        else:
            self.log.seek(0)
            die(f"no {kind} on port {PORT}: {self.log.read()}")

    def stop(self):
        """Its CPU time in seconds, that of its children too."""
        # sessions end by themselves and are reaped by the listener
        time.sleep(0.3)
        self.proc.send_signal(signal.SIGTERM)
        _, _, usage = os.wait4(self.proc.pid, 0)
        self.proc.returncode = 0
        self.log.close()
        return usage.ru_utime + usage.ru_stime


class Bench:
    def __init__(self, args):
        self.args = args
        self.dir = tempfile.mkdtemp(prefix="native.", dir="/tmp")
        os.chmod(self.dir, 0o755)
        for name in "host", "user":
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "",
                            "-f", f"{self.dir}/{name}"], check=True)
        home = os.path.expanduser("~/.ssh")
        os.makedirs(home, 0o700, exist_ok=True)
        with open(f"{home}/authorized_keys", "a", encoding="utf-8") as keys:
            keys.write(open(f"{self.dir}/user.pub", encoding="utf-8").read())
        os.chmod(f"{home}/authorized_keys", 0o600)
        os.makedirs("/run/sshd", exist_ok=True)
        with open(f"{self.dir}/conf", "w", encoding="utf-8") as conf:
            conf.write(f"Port {PORT}\nListenAddress 127.0.0.1\n"
                       f"HostKey {self.dir}/host\nMaxStartups 200\n"
                       "Subsystem sftp internal-sftp\n"
                       "PermitRootLogin yes\n")
        with open(f"{self.dir}/client", "w", encoding="utf-8") as conf:
            conf.write(f"Port {PORT}\nIdentityFile {self.dir}/user\n"
                       "IdentitiesOnly yes\nStrictHostKeyChecking no\n"
                       "UserKnownHostsFile /dev/null\nLogLevel ERROR\n"
                       f"Ciphers {args.cipher}\n")
        self.ssh = ["-F", f"{self.dir}/client"]

    def close(self):
        shutil.rmtree(self.dir)

    def command(self, kind):
        if kind == "openssh":
            return ["/usr/sbin/sshd", "-D", "-e", "-f", f"{self.dir}/conf",
                    "-o", "UsePAM=no"]
        if kind == "kssh":
            build = os.environ.get("KSSH_BUILD", "build/root")
            return [f"{build}/ksshd", "-D", "-e", "-f", f"{self.dir}/conf",
                    "-o", "DataPath=user"]
        if kind == "dropbear":
            key = f"{self.dir}/dropbear"
            if not os.path.exists(key):
                subprocess.run(["dropbearkey", "-t", "ed25519", "-f", key],
                               check=True, stdout=subprocess.DEVNULL)
            return ["dropbear", "-F", "-E", "-r", key, "-p",
                    f"127.0.0.1:{PORT}"]
        return die(f"unknown server {kind}")

    def make_file(self, name, size):
        path = f"{self.dir}/{name}"
        with open(path, "wb") as out:
            while size > 0:
                out.write(os.urandom(min(size, 1 << 20)))
                size -= 1 << 20
        return path

    def make_dir(self, name, files, size):
        path = f"{self.dir}/{name}"
        os.mkdir(path)
        for i in range(files):
            with open(f"{path}/file-{i:06}", "wb") as out:
                out.write(os.urandom(size))
        return path

    def sftp(self, *lines):
        subprocess.run(["sftp", "-q", *self.ssh, "-b", "-", "root@127.0.0.1"],
                       input="\n".join(lines) + "\n", text=True, check=True,
                       stdout=subprocess.DEVNULL)

    def run(self, command, **kwargs):
        subprocess.run(["ssh", *self.ssh, "root@127.0.0.1", command],
                       check=True, stdin=subprocess.DEVNULL, **kwargs)

    def remove(self, name):
        path = f"{self.dir}/{name}"
        if os.path.isdir(path):
            shutil.rmtree(path)
        elif os.path.exists(path):
            os.remove(path)


def in_parallel(n, work):
    failed = []

    def one(i):
        try:
            work(i)
        except Exception as err:  # told by the caller
            failed.append(err)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]


class SftpClient:
    """Just enough of SFTP version 3 to have many READs in flight."""

    def __init__(self, bench):
        self.proc = subprocess.Popen(
            ["ssh", *bench.ssh, "-s", "root@127.0.0.1", "sftp"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.send(struct.pack(">BI", 1, 3))
        self.receive()

    def send(self, *packets):
        self.proc.stdin.write(b"".join(
            struct.pack(">I", len(p)) + p for p in packets))
        self.proc.stdin.flush()

    def receive(self):
        size, = struct.unpack(">I", self.proc.stdout.read(4))
        return self.proc.stdout.read(size)

    def open(self, path):
        name = path.encode()
        self.send(struct.pack(">BII", 3, 1, len(name)) + name +
                  struct.pack(">II", 1, 0))
        reply = self.receive()
        if reply[0] != 102:
            raise OSError(f"no handle for {path}")
        return reply[5:]

    def read_at(self, handle, offsets, size):
        """All of them, READS_IN_FLIGHT at a time, answered in any order."""
        packets = [struct.pack(">BI", 5, i) + handle +
                   struct.pack(">QI", off, size)
                   for i, off in enumerate(offsets)]
        self.send(*packets[:READS_IN_FLIGHT])
        sent = min(len(packets), READS_IN_FLIGHT)
        for _ in packets:
            reply = self.receive()
            if reply[0] != 103 or len(reply) != 9 + size:
                raise OSError("a short read")
            if sent < len(packets):
                self.send(packets[sent])
                sent += 1

    def close(self):
        self.proc.stdin.close()
        self.proc.wait()
        self.proc.stdout.close()


# ---- questions: prepare(bench), ask(bench), how much it was ----

def prepare_file(bench):
    bench.make_file("file", bench.args.mib << 20)


def ask_get(bench):
    bench.sftp(f"get {bench.dir}/file {bench.dir}/got")


def ask_put(bench):
    bench.sftp(f"put {bench.dir}/file {bench.dir}/got")


def ask_cat(bench):
    bench.run(f"cat {bench.dir}/file", stdout=subprocess.DEVNULL)


def ask_sink(bench, *options):
    with open(f"{bench.dir}/file", "rb") as data:
        subprocess.run(["ssh", *bench.ssh, *options, "root@127.0.0.1",
                        "cat >/dev/null"], check=True, stdin=data)


def ask_rekey(bench):
    ask_sink(bench, "-o", "RekeyLimit=1M")


def prepare_small(bench):
    bench.make_dir("small", bench.args.files, 4096)


def ask_small_get(bench):
    bench.sftp(f"get -r {bench.dir}/small {bench.dir}/got")


def ask_small_put(bench):
    os.mkdir(f"{bench.dir}/got")
    bench.sftp(f"put -r {bench.dir}/small {bench.dir}/got")


def prepare_list(bench):
    bench.make_dir("list", bench.args.entries, 0)


def ask_list(bench):
    bench.sftp(f"ls -lf {bench.dir}/list")


def prepare_parallel(bench):
    bench.make_file("part", (bench.args.mib << 20) // 64)


def ask_parallel(bench):
    in_parallel(64, lambda i: bench.sftp(
        f"get {bench.dir}/part {bench.dir}/got-{i}"))
    for i in range(64):
        os.remove(f"{bench.dir}/got-{i}")


def ask_random(bench):
    client = SftpClient(bench)
    rnd = random.Random(1)
    pages = (bench.args.mib << 20) // 4096
    client.read_at(client.open(f"{bench.dir}/file"),
                   [4096 * rnd.randrange(pages)
                    for _ in range(bench.args.reads)], 4096)
    client.close()


def ask_login(bench):
    each = bench.args.logins // 8
    in_parallel(8, lambda _: [bench.run("true") for _ in range(each)])


def memory_of(pid):
    """KiB of a process and its children: PSS and page tables."""
    total = 0
    for name, key in (("smaps_rollup", "Pss"), ("status", "VmPTE")):
        text = open(f"/proc/{pid}/{name}", encoding="utf-8").read()
        total += int(re.search(rf"^{key}:\s+(\d+)", text, re.M).group(1))
    for tid in os.listdir(f"/proc/{pid}/task"):
        path = f"/proc/{pid}/task/{tid}/children"
        for child in open(path, encoding="utf-8").read().split():
            total += memory_of(int(child))
    return total


def idle_memory(bench, server):
    n = bench.args.idle
    # who asked whether the server was up is gone by then
    time.sleep(1)
    before = memory_of(server.proc.pid)
    clients = []
    while len(clients) < n:
        some = [subprocess.Popen(
            ["ssh", *bench.ssh, "-N", "-o", "PermitLocalCommand=yes", "-o",
             "LocalCommand=echo up", "root@127.0.0.1"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
                for _ in range(min(4, n - len(clients)))]
        for client in some:
            if client.stdout.readline() != b"up\n":
                die(f"connection {len(clients)} of {n} is not held")
            clients.append(client)
    time.sleep(1)
    used = memory_of(server.proc.pid) - before
    alive = sum(client.poll() is None for client in clients)
    for client in clients:
        client.terminate()
    for client in clients:
        client.wait()
        client.stdout.close()
    if alive < n:
        die(f"{alive} of {n} connections are left")
    return used / n


QUESTIONS = {
    "get": (prepare_file, ask_get),
    "put": (prepare_file, ask_put),
    "cat": (prepare_file, ask_cat),
    "sink": (prepare_file, ask_sink),
    "rekey": (prepare_file, ask_rekey),
    "small-get": (prepare_small, ask_small_get),
    "small-put": (prepare_small, ask_small_put),
    "list": (prepare_list, ask_list),
    "parallel": (prepare_parallel, ask_parallel),
    "random": (prepare_file, ask_random),
    "login": (lambda bench: None, ask_login),
}


def client_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def answer(bench, what, kind):
    server = Server(kind, bench)
    row = {"server": kind, "what": what}
    try:
        if what == "idle":
            row["kib"] = round(idle_memory(bench, server))
            server.stop()
            return row
        begun = time.monotonic()
        QUESTIONS[what][1](bench)
        row["wall_s"] = round(time.monotonic() - begun, 3)
    except (OSError, subprocess.CalledProcessError) as err:
        server.stop()
        die(f"{what} of {kind}: {err}")
    row["cpu_s"] = round(server.stop(), 3)
    return row


# Processes of a server, by the names they run under.
SERVER_COMMS = re.compile(r"k?sshd|sftp-server|dropbear|cat$")


def profile(bench, what, kind):
    """Rows: the functions that most of the server's time goes to."""
    data = f"{bench.dir}/perf"
    ctl, ack = os.pipe(), os.pipe()
    with subprocess.Popen(["perf", "record", "-q", "-a", "-e", "cpu-clock",
                           "-o", data, "--delay=-1",
                           f"--control=fd:{ctl[0]},{ack[1]}"],
                          pass_fds=(ctl[0], ack[1]),
                          stderr=subprocess.DEVNULL) as perf:
        os.write(ctl[1], b"enable\n")
        os.read(ack[0], 16)
        answer(bench, what, kind)
        perf.send_signal(signal.SIGINT)
    for fd in *ctl, *ack:
        os.close(fd)
    out = subprocess.run(["perf", "report", "-i", data, "--stdio", "-q",
                          "--sort", "comm,dso,symbol", "-F",
                          "sample,comm,dso,symbol", "-t", "|"],
                         capture_output=True, text=True, check=False).stdout
    samples = collections.Counter()
    for line in out.splitlines():
        count, comm, dso, symbol = (line.split("|") + [""] * 3)[:4]
        if SERVER_COMMS.match(comm.strip()):
            # behind [k] or [.]: kernel, user
            name = symbol.strip()[4:].split(" ")[0]
            if name.startswith("0x"):
                name = dso.strip()
            samples[name] += int(count)
    for function, n in samples.most_common(bench.args.profile):
        yield {"server": kind, "what": what, "function": function,
               "of_it": round(n / samples.total(), 4)}


def versions():
    def first_line(*command):
        out = subprocess.run(command, capture_output=True, text=True,
                             check=False)
        return (out.stdout + out.stderr).strip().splitlines()[0]
    return {"openssh": first_line("ssh", "-V"),
            "libcrypto": first_line("openssl", "version")}


def can_do(kind, what, cipher):
    """Dropbear's sftp-server is OpenSSH's, it has no AES-GCM, and does not let
    8 of an address log in at once."""
    return kind != "dropbear" or ("gcm" not in cipher and
                                  what in ("idle", "cat", "sink", "rekey"))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("-s", "--servers", default="openssh,kssh,dropbear")
    parser.add_argument("-w", "--what", default=",".join([*QUESTIONS, "idle"]))
    parser.add_argument("-c", "--cipher", default="aes128-gcm@openssh.com")
    parser.add_argument("-r", "--repeat", type=int, default=3)
    parser.add_argument("-m", "--mib", type=int, default=1024)
    parser.add_argument("--files", type=int, default=10000)
    parser.add_argument("--entries", type=int, default=100000)
    parser.add_argument("--reads", type=int, default=50000)
    parser.add_argument("--logins", type=int, default=160)
    parser.add_argument("--idle", type=int, default=40)
    parser.add_argument("-p", "--profile", type=int, default=0, metavar="N",
                        help="once more, and the N functions with most time")
    args = parser.parse_args()

    bench = Bench(args)
    cpu = re.search(r"model name\s*:\s*(.*)",
                    open("/proc/cpuinfo", encoding="utf-8").read())
    print(json.dumps({
        "bench": "native", "cipher": args.cipher, "mib": args.mib,
        "files": args.files, "entries": args.entries, "reads": args.reads,
        "logins": args.logins, "repeat": args.repeat,
        "kernel": platform.release(), "cpu": cpu.group(1) if cpu else "?",
        "cpus": os.cpu_count(), "load": os.getloadavg()[0],
        "date": datetime.date.today().isoformat(), **versions()}), flush=True)
    try:
        for what in args.what.split(","):
            if what != "idle" and what not in QUESTIONS:
                die(f"unknown question {what}")
            if what != "idle":
                QUESTIONS[what][0](bench)
            servers = [kind for kind in args.servers.split(",")
                       if can_do(kind, what, args.cipher)]
            for _ in range(args.repeat):
                for kind in servers:
                    print(json.dumps(answer(bench, what, kind)), flush=True)
                    bench.remove("got")
            if args.profile and what != "idle":
                for kind in servers:
                    for row in profile(bench, what, kind):
                        print(json.dumps(row), flush=True)
                    bench.remove("got")
            for name in "file", "small", "list", "part":
                bench.remove(name)
    finally:
        bench.close()


main()

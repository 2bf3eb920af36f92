#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Stock SFTP clients on the server without SSH between them.

    sftp_stdio_test.py [-r NAME]...

OpenSSH's sftp runs sftp_stdio by -D, paramiko's SFTPClient and a client that
knows nothing but frames hold the other end of its socket. $KSSH_BUILD says
where tests/interop/sftp_stdio is (build). Output is TAP 13.
"""

import fnmatch
import hashlib
import os
import random
import shlex
import shutil
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import traceback

import paramiko

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))
SERVER = os.path.join(TOP, os.environ.get("KSSH_BUILD", "build"),
                      "tests/interop/sftp_stdio")
HANG = 120
SIZES = (0, 1, 4095, 4096, 4097, 32767, 32768, 32769, 261120, 261121,
         1 << 20, (5 << 20) + 7)


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def check(ok, *what):
    if not ok:
        raise Failed(" ".join(str(w) for w in what))


def same(got, want, what="value"):
    check(got == want, f"{what}: got {got!r}, want {want!r}")


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def tree(top):
    """Names below top with what is told of them."""
    found = {}
    for here, dirs, files in os.walk(os.fsencode(top)):
        for name in dirs + files:
            path = os.path.join(here, name)
            rel = os.path.relpath(path, os.fsencode(top))
            found[rel] = None if name in dirs else digest(path)
    return found


def make_tree(top, rng):
    os.makedirs(f"{top}/a/b/c/empty")
    for i, size in enumerate(SIZES):
        with open(f"{top}/a/size-{size}", "wb") as f:
            f.write(rng.randbytes(size))
        os.chmod(f"{top}/a/size-{size}", 0o600 + i)
    for name in (b"with space", b"quo'te", b"dol$lar", b"\xff\xfe\x01",
                 "größer".encode(), b"n" * 255):
        with open(os.path.join(os.fsencode(top), b"a/b", name), "wb") as f:
            f.write(name)


# ---- servers ----

class Server:
    """sftp_stdio at the other end of a socket."""

    def __init__(self, *args):
        self.sock, theirs = socket.socketpair()
        self.proc = subprocess.Popen([SERVER, *args], stdin=theirs,
                                     stdout=theirs)
        theirs.close()
        self.sock.settimeout(HANG)

    def end(self):
        """Hang up; the server must leave by itself and without complaint."""
        self.sock.close()
        same(self.proc.wait(HANG), 0, "exit status")

    def peak_kib(self):
        with open(f"/proc/{self.proc.pid}/status") as f:
            for line in f:
                if line.startswith("VmHWM"):
                    return int(line.split()[1])
        return 0


class Raw(Server):
    """A client of frames."""

    def __init__(self, *args):
        super().__init__(*args)
        self.sock.sendall(struct.pack(">IBI", 5, 1, 3))
        kind, body = self.take()
        same((kind, body[:4]), (2, b"\0\0\0\3"), "version")

    def take(self):
        head = self.exactly(5)
        size, kind = struct.unpack(">IB", head)
        return kind, self.exactly(size - 1)

    def exactly(self, n):
        data = bytearray()
        while len(data) < n:
            part = self.sock.recv(min(n - len(data), 1 << 20))
            check(part, "the server has hung up")
            data += part
        return bytes(data)

    @staticmethod
    def frame(kind, req_id, *fields):
        body = struct.pack(">BI", kind, req_id)
        for field in fields:
            if isinstance(field, bytes):
                body += struct.pack(">I", len(field)) + field
            elif isinstance(field, tuple):
                body += struct.pack(">Q", field[0])
            else:
                body += struct.pack(">I", field)
        return struct.pack(">I", len(body)) + body

    def call(self, kind, req_id, *fields):
        """Type and fields of the answer."""
        self.sock.sendall(self.frame(kind, req_id, *fields))
        return self.answer(req_id)

    def answer(self, req_id):
        kind, body = self.take()
        same(struct.unpack(">I", body[:4])[0], req_id, "id of the answer")
        return kind, body[4:]

    def status(self, kind, req_id, *fields):
        got, body = self.call(kind, req_id, *fields)
        same(got, 101, "type of the answer")
        return struct.unpack(">I", body[:4])[0]

    def open(self, path, pflags):
        kind, body = self.call(3, 7, path.encode(), pflags, 0)
        same(kind, 102, "type of the answer to open")
        return body[4:]


def sftp(batch, *args, server=(), want=0):
    """OpenSSH's sftp; its output."""
    # -D splits at blanks and knows quotes
    cmd = " ".join(shlex.quote(a) for a in (SERVER, *server))
    run = subprocess.run(["sftp", "-b", "-", *args, "-D", cmd],
                         input=batch.encode("utf-8", "surrogateescape"),
                         stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         timeout=HANG, check=False)
    out = run.stdout.decode("utf-8", "surrogateescape")
    check(run.returncode == want, "sftp:", run.returncode, out[-500:])
    return out


class Channel:
    """What paramiko's SFTPClient wants of a channel.

    A thread takes what comes, as paramiko's transport does: two of the
    client's threads may send at once with nobody reading, and would wait for
    a server that waits for them.
    """

    def __init__(self, sock):
        self.sock = sock
        self.got = bytearray()
        self.ended = False
        self.news = threading.Condition()
        threading.Thread(target=self.take, daemon=True).start()

    def take(self):
        # What the test has closed under it is an end like any other.
        data = b"go"
        while data:
            try:
                data = self.sock.recv(1 << 18)
            except OSError:
                data = b""
            with self.news:
                self.got += data
                self.ended = not data
                self.news.notify_all()

    def get_name(self):
        return "stdio"

    def recv_ready(self):
        return bool(self.got)

    def recv(self, size):
        with self.news:
            check(self.news.wait_for(lambda: self.got or self.ended, HANG),
                  "no answer")
            data = bytes(self.got[:size])
            del self.got[:size]
            return data

    def send(self, data):
        return self.sock.send(data)

    def close(self):
        # A thread that is in recv() would keep the socket open.
        self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()


def paramiko_client(*args):
    server = Server(*args)
    server.sock = Channel(server.sock)
    return server, paramiko.SFTPClient(server.sock)


def fails_with(errno, fn, *args):
    try:
        fn(*args)
    except OSError as err:
        same(err.errno, errno, f"errno ({err})")
        return
    raise Failed(f"{fn.__name__}{args} did not fail")


# ---- OpenSSH's sftp ----

def test_openssh_puts_and_gets_trees(tmp):
    make_tree(f"{tmp}/from", random.Random(1))
    sftp(f"put -r {tmp}/from {tmp}/up\nget -r {tmp}/up {tmp}/down\n")
    want = tree(f"{tmp}/from")
    same(tree(f"{tmp}/up"), want, "uploaded")
    same(tree(f"{tmp}/down"), want, "downloaded")


def test_openssh_with_other_sizes_and_depths(tmp):
    size = (3 << 20) + 12345
    with open(f"{tmp}/f", "wb") as f:
        f.write(random.Random(2).randbytes(size))
    want = digest(f"{tmp}/f")
    for opts in (("-B", "512", "-R", "1"), ("-B", "1000", "-R", "300"),
                 ("-B", "32768", "-R", "1"), ("-B", "261120", "-R", "64"),
                 ("-B", "262000", "-R", "64")):
        sftp(f"put {tmp}/f {tmp}/up\nget {tmp}/up {tmp}/down\n", *opts)
        same(digest(f"{tmp}/up"), want, f"{opts} up")
        same(digest(f"{tmp}/down"), want, f"{opts} down")
        os.unlink(f"{tmp}/up")
        os.unlink(f"{tmp}/down")


def test_openssh_preserves_modes_and_times(tmp):
    with open(f"{tmp}/f", "w") as f:
        f.write("x")
    os.chmod(f"{tmp}/f", 0o4751)
    os.utime(f"{tmp}/f", (1000000000, 1100000000))
    sftp(f"put -p {tmp}/f {tmp}/up\nget -p {tmp}/up {tmp}/down\n")
    for name in ("up", "down"):
        st = os.stat(f"{tmp}/{name}")
        same(st.st_mtime, 1100000000, name)
        # The client hands on 0777 only when it gets.
        same(st.st_mode & 0o777, 0o751, name)


def test_openssh_resumes_transfers(tmp):
    data = random.Random(3).randbytes(2 << 20)
    for name, part in (("f", len(data)), ("up", 700001), ("down", 1)):
        with open(f"{tmp}/{name}", "wb") as f:
            f.write(data[:part])
    sftp(f"reput {tmp}/f {tmp}/up\nreget {tmp}/f {tmp}/down\n")
    same(digest(f"{tmp}/up"), digest(f"{tmp}/f"), "up")
    same(digest(f"{tmp}/down"), digest(f"{tmp}/f"), "down")


def test_openssh_renames_links_and_removes(tmp):
    sftp(f"""cd {tmp}
mkdir d
put {__file__} d/f
rename d/f d/g
ln d/g hard
ln -s d/g soft
symlink d sd
chmod 640 hard
rm d/g
""")
    same(os.readlink(f"{tmp}/soft"), "d/g")
    same(os.readlink(f"{tmp}/sd"), "d")
    same(digest(f"{tmp}/hard"), digest(__file__))
    same(os.stat(f"{tmp}/hard").st_mode & 0o7777, 0o640)
    same(os.listdir(f"{tmp}/d"), [])
    sftp(f"cd {tmp}\nrm soft\nrm sd\nrm hard\nrmdir d\n")
    same(os.listdir(tmp), [])


def test_openssh_rename_of_old_kind_does_not_overwrite(tmp):
    for name in "ab":
        with open(f"{tmp}/{name}", "w") as f:
            f.write(name)
    sftp(f"rename -l {tmp}/a {tmp}/b\n", want=1)
    same(open(f"{tmp}/b").read(), "b")
    sftp(f"rename {tmp}/a {tmp}/b\n")
    same(open(f"{tmp}/b").read(), "a")


def test_openssh_lists_directories(tmp):
    os.mkdir(f"{tmp}/d")
    for i in range(5000):
        open(f"{tmp}/d/{i}", "w").close()
    names = sftp(f"ls -1 {tmp}/d\n").split("\n")[1:-1]
    same(sorted(os.path.basename(n.strip()) for n in names),
         sorted(str(i) for i in range(5000)))
    lines = sftp(f"cd {tmp}\nls -la\n").split("\n")
    dots = [n.split()[-1] for n in lines if n.startswith("d")]
    same(sorted(dots), [".", "..", "d"])
    check(any(n.startswith("drwxr-xr-x") and "root     root" in n
              for n in lines) or os.getuid(), lines)


def test_openssh_asks_for_free_space(tmp):
    out = sftp(f"df {tmp}\n").split("\n")
    vfs = os.statvfs(tmp)
    same(int(out[-2].split()[0]), vfs.f_blocks * vfs.f_frsize // 1024)


def test_openssh_copies_on_the_server(tmp):
    data = random.Random(5).randbytes((5 << 20) + 7)
    with open(f"{tmp}/f", "wb") as f:
        f.write(data)
    os.chmod(f"{tmp}/f", 0o640)
    sftp(f"copy {tmp}/f {tmp}/g\ncp {tmp}/g {tmp}/h\n")
    same(digest(f"{tmp}/g"), digest(f"{tmp}/f"))
    same(digest(f"{tmp}/h"), digest(f"{tmp}/f"))
    out = sftp(f"cp {tmp}/f {tmp}/i\n", server=("-R",), want=1)
    # an extension that writes is not even offered
    check("does not support copy-data" in out, out)
    check(not os.path.exists(f"{tmp}/i"), "made there")


def test_openssh_on_a_read_only_server(tmp):
    with open(f"{tmp}/f", "w") as f:
        f.write("kept")
    for cmd in (f"put {__file__} {tmp}/f", f"rm {tmp}/f", f"mkdir {tmp}/d",
                f"chmod 600 {tmp}/f", f"rename {tmp}/f {tmp}/g",
                f"ln {tmp}/f {tmp}/g", f"ln -s {tmp}/f {tmp}/g"):
        out = sftp(cmd + "\n", server=("-R",), want=1)
        # an extension that writes is not even offered
        check("ermission denied" in out or
              "does not support hardlink" in out, cmd, out)
    sftp(f"get {tmp}/f {tmp}/down\n", server=("-R",))
    same(sorted(os.listdir(tmp)), ["down", "f"])
    same(open(f"{tmp}/f").read(), "kept")


def test_openssh_starts_in_a_directory(tmp):
    out = sftp("pwd\nmkdir here\n", server=("-d", tmp))
    check(f"directory: {tmp}\n" in out, out)
    check(os.path.isdir(f"{tmp}/here"), "not made there")


# ---- paramiko ----

def test_paramiko_transfers(tmp):
    server, client = paramiko_client()
    data = random.Random(4).randbytes((6 << 20) + 3)
    with open(f"{tmp}/f", "wb") as f:
        f.write(data)
    client.put(f"{tmp}/f", f"{tmp}/up")
    client.get(f"{tmp}/up", f"{tmp}/down")
    same(digest(f"{tmp}/down"), digest(f"{tmp}/f"))
    with client.open(f"{tmp}/up", "rb") as f:
        parts = [(5000000, 70000), (0, 1), (6 << 20, 100), (1, 300000)]
        for (off, size), got in zip(parts, f.readv(parts)):
            check(got == data[off:off + size], f"readv {off} {size}")
    server.end()


def test_paramiko_hashes(tmp):
    server, client = paramiko_client()
    data = random.Random(6).randbytes((3 << 20) + 5)
    with open(f"{tmp}/f", "wb") as f:
        f.write(data)
    with client.open(f"{tmp}/f", "rb") as f:
        for name in ("md5", "sha1", "sha256", "sha512"):
            same(f.check(name), hashlib.new(name, data).digest(), name)
        same(f.check("sha1", 1000, 2000),
             hashlib.sha1(data[1000:3000]).digest())
        blocks = [data[i:i + 1048576] for i in range(0, len(data), 1048576)]
        same(f.check("md5", block_size=1048576),
             b"".join(hashlib.md5(b).digest() for b in blocks))
        fails_with(None, f.check, "crc32")
    server.end()


def test_paramiko_file_modes(tmp):
    server, client = paramiko_client()
    path = f"{tmp}/f"
    with client.open(path, "wx") as f:
        f.write(b"0123456789")
    try:
        client.open(path, "wx")
        raise Failed("opened twice")
    except OSError:
        pass
    with client.open(path, "a") as f:
        f.write(b"ab")
        same(f.tell(), 12)
    with client.open(path, "r+") as f:
        f.seek(4)
        f.write(b"XY")
        f.seek(0)
        same(f.read(), b"0123XY6789ab")
        f.truncate(5)
        same(f.stat().st_size, 5)
        f.chmod(0o600)
        f.utime((100, 200))
    same(open(path).read(), "0123X")
    same(os.stat(path).st_mtime, 200)
    with client.open(path, "w") as f:
        fails_with(None, client.mkdir, tmp)
    same(os.stat(path).st_size, 0)
    server.end()


def test_paramiko_names_and_attributes(tmp):
    server, client = paramiko_client()
    client.chdir(tmp)
    same(client.getcwd(), tmp)
    client.mkdir("d", 0o750)
    same(os.stat(f"{tmp}/d").st_mode & 0o777, 0o750)
    client.open("d/f", "w").close()
    client.symlink("f", "d/s")
    same(client.readlink("d/s"), "f")
    check(stat.S_ISLNK(client.lstat("d/s").st_mode), "lstat")
    check(stat.S_ISREG(client.stat("d/s").st_mode), "stat")
    client.truncate("d/f", 1 << 40)
    same(client.stat("d/f").st_size, 1 << 40)
    client.chmod("d/f", 0o604)
    client.utime("d/f", (1, 4294967295))
    same(client.stat("d/f").st_mtime, 4294967295)
    same(sorted(client.listdir("d")), ["f", "s"])
    same(sorted(a.filename for a in client.listdir_iter("d")), ["f", "s"])
    client.posix_rename("d/f", "d/s")
    same(client.listdir("d"), ["s"])
    same(client.normalize("d/../d/./s"), f"{tmp}/d/s")
    fails_with(2, client.stat, "none")
    fails_with(2, client.listdir, "none")
    fails_with(2, client.open, "none")
    fails_with(None, client.rmdir, "d")
    client.remove("d/s")
    client.rmdir("d")
    same(os.listdir(tmp), [])
    server.end()


# ---- frames ----

def test_raw_ids_of_any_kind_are_given_back_in_order(tmp):
    raw = Raw()
    rng = random.Random(5)
    ids = [rng.getrandbits(32) for _ in range(3000)] + [0, 0, 0xffffffff]
    batch = b"".join(raw.frame(17, i, tmp.encode()) for i in ids)
    raw.sock.sendall(batch)
    for i in ids:
        same(raw.answer(i)[0], 105)
    raw.end()


def test_raw_reads_in_flight_wait_in_the_socket(tmp):
    """50 MB asked for at once: nobody reads, nothing grows."""
    data = random.Random(6).randbytes(261120)
    with open(f"{tmp}/f", "wb") as f:
        f.write(data)
    raw = Raw()
    handle = raw.open(f"{tmp}/f", 1)
    batch = b"".join(raw.frame(5, i, handle, (i % 7,), 261120)
                     for i in range(200))
    raw.sock.sendall(batch)
    for i in range(200):
        kind, body = raw.answer(i)
        same(kind, 103)
        check(body[4:] == data[i % 7:], f"data of read {i}")
    # With sanitizers it has more than that to begin with.
    check(raw.peak_kib() < 16384 or "san" in SERVER, raw.peak_kib(), "KiB")
    raw.end()


def test_raw_reads_are_answered_after_the_end_of_input(tmp):
    with open(f"{tmp}/f", "wb") as f:
        f.write(b"x" * 200000)
    raw = Raw()
    handle = raw.open(f"{tmp}/f", 1)
    raw.sock.sendall(b"".join(raw.frame(5, i, handle, (0,), 200000)
                              for i in range(40)))
    raw.sock.shutdown(socket.SHUT_WR)
    for i in range(40):
        same(len(raw.answer(i)[1]), 200004)
    same(raw.sock.recv(1), b"", "after the last answer")
    raw.end()


def test_raw_write_in_tiny_pieces(tmp):
    raw = Raw()
    handle = raw.open(f"{tmp}/f", 2 | 8)
    data = random.Random(7).randbytes(3000)
    frame = raw.frame(6, 1, handle, (5,), data) + \
        raw.frame(6, 2, handle, (0,), b"01234")
    for i in range(len(frame)):
        raw.sock.sendall(frame[i:i + 1])
    same(raw.answer(1)[1][:4], b"\0\0\0\0")
    same(raw.answer(2)[1][:4], b"\0\0\0\0")
    with open(f"{tmp}/f", "rb") as f:
        check(f.read() == b"01234" + data, "data")
    raw.end()


def test_raw_writes_in_flight(tmp):
    raw = Raw()
    handle = raw.open(f"{tmp}/f", 2 | 8)
    data = random.Random(8).randbytes(20 << 20)
    sizes = [32768, 261120, 262144, 1, 0, 4097]
    off = n = 0
    while off < len(data):
        part = data[off:off + sizes[n % len(sizes)]]
        raw.sock.sendall(raw.frame(6, n, handle, (off,), part))
        off += len(part)
        n += 1
    for i in range(n):
        same(raw.answer(i)[1][:4], b"\0\0\0\0")
    with open(f"{tmp}/f", "rb") as f:
        check(f.read() == data, "data")
    raw.end()


def test_raw_edge_cases_of_read_and_write(tmp):
    with open(f"{tmp}/f", "wb") as f:
        f.write(b"0123456789")
    raw = Raw()
    rd = raw.open(f"{tmp}/f", 1)
    wr = raw.open(f"{tmp}/f", 2)
    same(raw.call(5, 1, rd, (3,), 0), (103, b"\0\0\0\0"), "read of nothing")
    same(raw.status(6, 2, wr, (3,), b""), 0, "write of nothing")
    same(raw.status(5, 3, rd, (10,), 1), 1, "read at the end")
    same(raw.status(5, 4, rd, (1 << 63,), 1), 5, "read at 2^63")
    same(raw.status(5, 5, rd, ((1 << 63) - 100,), 10), 1, "read below 2^63")
    same(raw.status(6, 6, wr, (1 << 63,), b"x"), 5, "write at 2^63")
    # EFBIG but on tmpfs, which is large enough
    check(raw.status(6, 7, wr, ((1 << 63) - 100,), b"x") in (0, 4),
          "write below 2^63")
    os.truncate(f"{tmp}/f", 10)
    same(raw.status(6, 8, rd, (0,), b"x"), 2, "write, opened for reading")
    same(raw.status(5, 9, wr, (0,), 1), 2, "read, opened for writing")
    same(raw.status(4, 10, rd), 0, "close")
    same(raw.status(4, 11, rd), 4, "close again")
    same(raw.status(5, 12, rd, (0,), 1), 4, "read, closed")
    same(raw.status(99, 13, b"whatever"), 8, "unknown request")
    same(raw.status(200, 14, b"none@example.org"), 8, "unknown extension")
    with open(f"{tmp}/f", "rb") as f:
        same(f.read(), b"0123456789")
    raw.end()


def test_raw_reads_of_files_that_have_no_size(_tmp):
    raw = Raw()
    handle = raw.open("/proc/self/status", 1)
    kind, body = raw.call(5, 1, handle, (0,), 32768)
    same(kind, 103)
    check(b"Pid:" in body, body[:100])
    handle = raw.open("/proc/sys/kernel/ostype", 1)
    same(raw.call(5, 2, handle, (0,), 32768), (103, b"\0\0\0\6Linux\n"))
    handle = raw.open("/sys/kernel/mm/transparent_hugepage/enabled", 1)
    same(raw.call(5, 3, handle, (0,), 32768)[0], 103, "sysfs")
    handle = raw.open("/dev/zero", 1)
    same(raw.call(5, 4, handle, (0,), 10), (103, b"\0\0\0\n" + bytes(10)))
    raw.end()


def test_raw_hanging_up_in_the_middle(tmp):
    for cut in (3, 9, 30, 1000, 100000):
        raw = Raw()
        handle = raw.open(f"{tmp}/f", 2 | 8)
        frame = raw.frame(6, 1, handle, (0,), bytes(200000))
        raw.sock.sendall(frame[:cut])
        raw.end()
    raw = Raw()
    handle = raw.open(f"{tmp}/f", 1)
    raw.sock.sendall(b"".join(raw.frame(5, i, handle, (0,), 100000)
                              for i in range(100)))
    raw.end()


def test_raw_what_is_not_sftp_ends_the_server(_tmp):
    for junk in (b"\0\0\0\0", b"\xff\xff\xff\xff", b"GET / HTTP/1.0\r\n\r\n",
                 b"\0\0\0\1\1", b"\0\0\0\5\1\0\0\0\3"):
        raw = Raw()
        raw.sock.sendall(junk)
        same(raw.sock.recv(1), b"")
        raw.end()


# ---- the runner ----

def run_one(name, fn):
    tmp = os.path.realpath(tempfile.mkdtemp(prefix="kssh-sftp-"))
    os.chmod(tmp, 0o755)
    try:
        fn(tmp)
        return "ok", ""
    except Skipped as why:
        return "ok", f" # SKIP {why}"
    except Exception as err:  # pylint: disable=broad-except
        if not isinstance(err, Failed):
            for line in traceback.format_exc().splitlines():
                print(f"# {line}")
        print(f"# {name}: {str(err)[:800]!r}")
        return "not ok", ""
    finally:
        shutil.rmtree(tmp, ignore_errors=True)


def main(argv):
    wanted = [argv[i + 1] for i, a in enumerate(argv[:-1]) if a == "-r"]
    tests = [(name[5:], fn) for name, fn in globals().items()
             if name.startswith("test_")]
    if wanted:
        tests = [t for t in tests
                 if any(fnmatch.fnmatch(t[0], w) for w in wanted)]
    print("TAP version 13")
    print(f"1..{len(tests)}")
    os.umask(0o022)
    bad = 0
    for n, (name, fn) in enumerate(tests, 1):
        how, why = run_one(name, fn)
        bad += how != "ok"
        print(f"{how} {n} - {name}{why}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))

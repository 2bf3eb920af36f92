# SPDX-License-Identifier: MIT
"""Runs the bad peers against a server: TAP on standard output.

badpeer.py --pid PID --port P --rekey-port P --grace-port P --user U --key F
           [--path kernel|user] [--lax] [NAME...]

After each case a connection that was there all the time must still work, and
the server must have no more processes than before.
"""
import argparse
import fnmatch
import inspect
import os
import sys
import time
import traceback

import bad_auth
import bad_channel
import bad_rekey
import bad_transport
from peer import (CHACHA, CTR_ETM, CTR_MAC, GCM128, GCM256, HANG, Closed,
                  Disconnected, Fault, Peer, load_key)

# What a connection may take, in KiB, over what it takes when idle.
SMALL = 24 * 1024


def children(pid):
    found = []
    try:
        tasks = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for task in tasks:
        try:
            with open(f"/proc/{pid}/task/{task}/children") as f:
                pids = [int(p) for p in f.read().split()]
        except OSError:
            continue
        for p in pids:
            found.append(p)
            found += children(p)
    return found


def memory(pids):
    """Their own memory, in KiB."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as f:
                for line in f:
                    if line.startswith("Private_Dirty:"):
                        total += int(line.split()[1])
        except OSError:
            pass
    return total


class Env:
    """The server, and what the cases ask of it."""

    def __init__(self, args):
        self.args = args
        self.path, self.lax = args.path, args.lax
        self.heavy = args.heavy
        self.port, self.rekey_port = args.port, args.rekey_port
        self.grace_port, self.grace = args.grace_port, args.grace
        self.user, self.key = args.user, load_key(args.key)
        self.many = 10000 if args.heavy else 2000
        self.ciphers = [GCM128, CHACHA, CTR_ETM, CTR_MAC]
        if args.ciphers:
            self.ciphers = args.ciphers.split()
        self.peers = []
        self.good = None
        self.start_good()

    def start_good(self):
        self.good = Peer(self.port, user=self.user, key=self.key).login()
        self.runs(self.good)
        self.base = self.count_settled()

    def count(self):
        return sum(len(children(pid)) for pid in self.args.pid)

    def count_settled(self):
        now = -1
        while now != self.count():
            now = self.count()
            time.sleep(0.1)
        return now

    def peer(self, port=None, **args):
        p = Peer(port or self.port, user=self.user, key=self.key, **args)
        self.peers.append(p)
        return p

    def login(self, **args):
        return self.peer(**args).login()

    def ends(self, p, *reasons, packet=None):
        """The connection ends with one of the reasons (RFC 4253 11.1)."""
        reason = p.end()
        if self.lax or reason in reasons:
            return
        # The module ends the TCP connection where the packets end.
        if reason is None and packet == "session" and self.path == "kernel":
            return
        raise Fault(f"disconnect reason {reason}, want one of {reasons}")

    def runs(self, p):
        """The connection is fine."""
        if p.run("cat", b"still here") != b"still here":
            raise Fault("a good connection has suffered")

    def others(self):
        self.runs(self.good)
        with self.login() as p:
            self.runs(p)

    def small(self, _p):
        """The server's processes hold a bounded amount of memory."""
        used = memory(p for pid in self.args.pid for p in children(pid))
        if used - self.idle_memory > SMALL and not self.args.sanitizer:
            raise Fault(f"the server has grown by "
                        f"{used - self.idle_memory} KiB")

    def settled(self):
        """All processes of lost connections go."""
        until = time.monotonic() + HANG
        while self.count() > self.base:
            if time.monotonic() > until:
                raise Fault(f"{self.count()} processes, were {self.base}")
            time.sleep(0.02)

    def retry(self, fn):
        until = time.monotonic() + HANG
        while True:
            try:
                return fn()
            except (Closed, Disconnected, Fault, OSError):
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)

    def alive(self):
        try:
            self.runs(self.good)
        except (Fault, Closed, Disconnected, OSError):
            return False
        return True

    def close_all(self):
        for p in self.peers:
            p.sock.close()
        self.peers.clear()

    def case(self, fn):
        """Run one: None, or what is wrong."""
        self.idle_memory = memory(p for pid in self.args.pid
                                  for p in children(pid))
        try:
            try:
                fn(self)
            finally:
                self.close_all()
            self.settled()
            self.runs(self.good)
        except Exception as e:  # whatever it is, the next case must run
            where = traceback.extract_tb(e.__traceback__)
            lines = [f"{os.path.basename(f.filename)}:{f.lineno}"
                     for f in where if "bad_" in f.filename]
            return f"{type(e).__name__} {e} at {' '.join(lines)}"
        return None


def cases():
    for module in (bad_transport, bad_auth, bad_channel, bad_rekey):
        for name, fn in vars(module).items():
            if not inspect.isfunction(fn) or inspect.isgeneratorfunction(fn):
                continue
            if fn.__module__ == module.__name__ and \
                    list(inspect.signature(fn).parameters) == ["env"]:
                yield name, fn


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pid", type=int, action="append", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rekey-port", type=int, required=True)
    parser.add_argument("--grace-port", type=int, required=True)
    parser.add_argument("--grace", type=float, default=2)
    parser.add_argument("--user", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--path", default="user")
    parser.add_argument("--ciphers", default="")
    parser.add_argument("--lax", action="store_true")
    parser.add_argument("--heavy", type=int, default=1)
    parser.add_argument("--sanitizer", action="store_true")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    todo = [(name, fn) for name, fn in cases() if not args.names or
            any(fnmatch.fnmatchcase(name, p) for p in args.names)]
    if not todo:
        sys.exit("there is no case of this name")
    env = Env(args)
    print(f"TAP version 13\n1..{len(todo)}", flush=True)
    bad = 0
    for number, (name, fn) in enumerate(todo, 1):
        start = time.monotonic()
        wrong = env.case(fn)
        if wrong:
            bad += 1
            print("# " + wrong.replace("\n", " ")[:400])
            if not env.alive():
                env.start_good()
        took = time.monotonic() - start
        if took > 3:
            print(f"# {name}: {took:.1f} s")
        print(f"{'not ok' if wrong else 'ok'} {number} - {name}", flush=True)
    sys.exit(bad != 0)


main()

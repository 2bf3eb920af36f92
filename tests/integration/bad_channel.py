# SPDX-License-Identifier: MIT
"""Bad peers, third layer: channels, windows, requests."""
from peer import (ADJUST, CLOSE, DATA, EOF, EXT_DATA, FAILURE, GLOBAL_REQUEST,
                  OPEN, OPEN_FAILURE, OPEN_OK, REQUEST, REQUEST_FAILURE,
                  SUCCESS, UNIMPLEMENTED, WINDOW, Closed,
                  Disconnected, Fault, string, u32)

PROTOCOL = 2
PROHIBITED, UNKNOWN_TYPE, SHORTAGE = 1, 3, 4


def each_cipher(env):
    for cipher in env.ciphers[:None if env.heavy else 1]:
        with env.login(cipher=cipher) as p:
            yield p


# ---- numbers ----

def refuses_unknown_channel_numbers(env):
    for number in (0, 1, 63, 64, 0x7fffffff, 0xffffffff):
        for kind, rest in ((DATA, string("x")),
                           (EXT_DATA, u32(1) + string("x")), (EOF, b""),
                           (CLOSE, b""), (ADJUST, u32(1)),
                           (REQUEST, string("shell") + b"\1"),
                           (SUCCESS, b""), (FAILURE, b"")):
            if not env.heavy and number not in (1, 0xffffffff):
                continue
            with env.login() as p:
                p.send(bytes([kind]) + u32(number) + rest)
                env.ends(p, PROTOCOL)


def refuses_a_second_close(env):
    for p in each_cipher(env):
        ch = p.exec("true")
        ch.finish()
        ch.close()
        env.ends(p, PROTOCOL)


def refuses_answers_to_nothing(env):
    for msg in (bytes([OPEN_OK]) + u32(0) * 3 + u32(32768),
                bytes([OPEN_FAILURE]) + u32(0) * 2 + string("") * 2):
        with env.login() as p:
            p.send(msg)
            env.ends(p, PROTOCOL)


def refuses_malformed_messages(env):
    for kind, rest in ((DATA, u32(5) + b"x"), (DATA, b""),
                       (DATA, string("x") + b"y"),
                       (DATA, u32(0xffffffff) + b"x"),
                       (EXT_DATA, u32(1)), (EOF, b"x"), (ADJUST, b"\0"),
                       (ADJUST, u32(1) + b"x"), (CLOSE, b"x"),
                       (REQUEST, u32(100) + b"exec"),
                       (REQUEST, string("exec")),
                       (REQUEST, string("exec") + b"\1"),
                       (REQUEST, string("exec") + b"\1" + string("x") + b"y"),
                       (REQUEST, string("exec") + b"\1" + u32(0xffffffff)),
                       (REQUEST, string("env") + b"\1" + string("LANG"))):
        with env.login() as p:
            ch = p.open()
            ch.send(kind, rest)
            env.ends(p, PROTOCOL)
    for msg in (bytes([DATA]), bytes([REQUEST, 0, 0]), bytes([OPEN]),
                bytes([OPEN]) + string("session"),
                bytes([OPEN]) + u32(0xfffffff0) + b"session",
                bytes([GLOBAL_REQUEST]), bytes([GLOBAL_REQUEST]) + string("x")):
        with env.login() as p:
            p.send(msg)
            env.ends(p, PROTOCOL)


# ---- windows ----

def refuses_data_beyond_the_window(env):
    for p in each_cipher(env):
        ch = p.exec("sleep 1000")
        msg = bytes([DATA]) + u32(ch.remote) + string(bytes(ch.max_packet))
        # more than is granted, whatever the server grants meanwhile
        for _ in range(1 + 16 * WINDOW // ch.max_packet):
            p.send(msg)
        env.ends(p, PROTOCOL)


def refuses_data_beyond_the_maximum_packet(env):
    for p in each_cipher(env):
        ch = p.exec("cat >/dev/null")
        ch.send(DATA, string(bytes(ch.max_packet + 1)))
        env.ends(p, PROTOCOL)


def refuses_a_window_that_overflows(env):
    for p in each_cipher(env):
        ch = p.exec("sleep 1000", window=0xffffffff)
        ch.send(ADJUST, u32(1))
        env.ends(p, PROTOCOL)
    with env.login() as p:
        ch = p.exec("sleep 1000", window=0x80000000)
        ch.send(ADJUST, u32(0x7fffffff))
        env.runs(p)
        ch.send(ADJUST, u32(1))
        env.ends(p, PROTOCOL)


def takes_an_adjust_of_nothing(env):
    with env.login() as p:
        ch = p.exec("cat")
        for _ in range(1000):
            ch.send(ADJUST, u32(0))
        ch.data(b"x")
        ch.eof()
        if ch.finish() != b"x":
            raise Fault("bytes were lost")


def refuses_a_maximum_packet_of_nothing(env):
    with env.login() as p:
        p.start_open(max_packet=0)
        env.ends(p, PROTOCOL)


def sends_packets_as_small_as_wanted(env):
    for p in each_cipher(env):
        for size in (1, 2, 31):
            ch = p.exec("seq 100; seq 100 >&2", max_packet=size)
            want = b"".join(b"%d\n" % i for i in range(1, 101))
            if ch.finish() != want or ch.err != want:
                raise Fault("bytes were lost")


def sends_packets_no_larger_than_wanted(env):
    for p in each_cipher(env):
        for size in (100, 40000, 0xffffffff):
            ch = p.exec("head -c 300000 /dev/zero", max_packet=size)
            if len(ch.finish()) != 300000:
                raise Fault("bytes were lost")


def waits_for_a_closed_window(env):
    """Output, EOF, status and CLOSE in their order, once there is room."""
    for p in each_cipher(env):
        p.auto_adjust = False
        ch = p.exec("echo hello; echo world >&2; exit 7", window=0)
        env.runs(p)
        p.drain()
        if ch.out or "eof" in ch.events or "close" in ch.events:
            raise Fault("the window was closed")
        for _ in range(4):
            ch.granted += 3
            ch.send(ADJUST, u32(3))
        ch.finish()
        if ch.out != b"hello\n" or ch.err != b"world\n" or ch.status != 7:
            raise Fault(f"{ch.out} {ch.err} {ch.status}")
        if sorted(ch.events[:2]) != ["eof", "exit-status"] or \
                ch.events[2:] != ["close"]:
            raise Fault(f"order: {ch.events}")


def keeps_to_the_window_to_the_byte(env):
    for p in each_cipher(env):
        p.auto_adjust = False
        ch = p.exec("seq 100000", window=1)
        size, want = 1, b"".join(b"%d\n" % i for i in range(1, 100001))
        while "close" not in ch.events:
            p.until(lambda: not ch.granted or "close" in ch.events)
            if "close" in ch.events:
                break
            size = (size * 5 + 3) % 65536
            ch.granted += size
            ch.send(ADJUST, u32(size))
        if ch.out != want:
            raise Fault(f"{len(ch.out)} bytes of {len(want)}")
        ch.close()


# ---- opening ----

def refuses_unknown_channel_types(env):
    with env.login() as p:
        for kind in ("direct-tcpip", "x11", "", "Session", "session\0",
                     "x" * 10000, "tun@openssh.com"):
            ch = p.open(kind=kind)
            if ch.refused != UNKNOWN_TYPE and not (
                    env.lax and ch.refused in (1, 2, 3)):
                raise Fault(f"{kind[:20]}: {ch.refused}")
        env.runs(p)


def refuses_too_many_channels(env):
    with env.login() as p:
        chs = [p.start_open() for _ in range(100)]
        p.until(lambda: all(c.remote is not None or c.refused is not None
                            for c in chs))
        good = [c for c in chs if c.remote is not None]
        bad = {c.refused for c in chs if c.refused is not None}
        if not good or (bad and bad != {SHORTAGE} and not env.lax):
            raise Fault(f"{len(good)} open, the others refused with {bad}")
        if len(set(c.remote for c in good)) != len(good):
            raise Fault("a number was given twice")
        for c in good[::2]:
            c.close()
        p.until(lambda: all("close" in c.events for c in good[::2]))
        env.runs(p)
        c = good[1]
        if not c.request("exec", string("echo still; exit 3")):
            raise Fault("a command was refused")
        if c.finish() != b"still\n" or c.status != 3:
            raise Fault(f"{c.out} {c.status}")


def opens_and_closes_without_end(env):
    for p in each_cipher(env):
        for _ in range(env.many // 10):
            ch = p.open()
            ch.eof()
            ch.close()
            p.until(lambda: "close" in ch.events)
        env.runs(p)
        env.small(p)


def obeys_no_more_sessions(env):
    with env.login() as p:
        ch = p.exec("cat")
        p.send(bytes([GLOBAL_REQUEST]) +
               string("no-more-sessions@openssh.com") + b"\0")
        if not env.lax and p.open().refused != PROHIBITED:
            raise Fault("one more session")
        ch.data(b"on")
        ch.eof()
        if ch.finish() != b"on":
            raise Fault("the first session has suffered")


# ---- requests ----

def fails_unknown_channel_requests(env):
    with env.login() as p:
        ch = p.open()
        for name in ("nonsense", "", "x" * 10000, "exec\0", "Exec",
                     "auth-agent-req@openssh.com", "x11-req"):
            if ch.request(name, b"rest of it"):
                raise Fault(f"{name[:20]} was granted")
            ch.request(name, b"", want_reply=False)
        if not ch.request("exec", string("echo on")):
            raise Fault("a command was refused")
        if ch.finish() != b"on\n":
            raise Fault("no output")


def fails_a_terminal(env):
    with env.login() as p:
        ch = p.open()
        term = string("xterm") + u32(80) + u32(24) + u32(0) * 2 + string("\0")
        if ch.request("pty-req", term) and not env.lax:
            raise Fault("there is a terminal")
        ch.request("window-change", u32(1) * 4, want_reply=False)
        if not ch.request("shell"):
            raise Fault("no shell")
        ch.data(b"exit 9\n")
        ch.finish()
        if ch.status != 9:
            raise Fault(f"status {ch.status}")


def fails_a_second_command(env):
    with env.login() as p:
        ch = p.exec("cat")
        for name, rest in (("exec", string("id")), ("shell", b""),
                           ("subsystem", string("sftp"))):
            if not env.lax and ch.request(name, rest):
                raise Fault(f"{name} was granted")
        ch.data(b"one")
        ch.eof()
        if ch.finish() != b"one":
            raise Fault("the first command has suffered")


def fails_unknown_subsystems(env):
    with env.login() as p:
        for name in ("nonsense", "", "SFTP", "/bin/sh"):
            ch = p.open()
            if ch.request("subsystem", string(name)):
                raise Fault(f"{name} was granted")
            ch.close()
            p.until(lambda: "close" in ch.events)
        env.runs(p)


def takes_no_string_with_a_nul(env):
    for name, rest in (("exec", string("true\0")), ("subsystem",
                                                    string("sftp\0")),
                       ("env", string("LANG\0") + string("C")),
                       ("env", string("LANG") + string("C\0"))):
        with env.login() as p:
            ch = p.open()
            try:
                if ch.request(name, rest) and not env.lax:
                    raise Fault(f"{name} was granted")
            except (Closed, Disconnected):
                pass


def fails_unknown_global_requests(env):
    with env.login() as p:
        for name in ("nonsense", "", "tcpip-forward", "x" * 10000):
            p.send(bytes([GLOBAL_REQUEST]) + string(name) + b"\0rest")
            p.send(bytes([GLOBAL_REQUEST]) + string(name) + b"\1" +
                   string("") + u32(0))
        p.until(lambda: len(p.replies) == 4)
        for msg in p.replies:
            if msg[0] != REQUEST_FAILURE and not env.lax:
                raise Fault(f"answer {msg[0]}")
        env.runs(p)


def answers_unknown_messages(env):
    """UNIMPLEMENTED carries the sequence number of what it speaks of."""
    for p in each_cipher(env):
        for kind in (8, 19, 61, 79, 83, 89, 101, 127, 128, 191, 255):
            p.replies.clear()
            seq = p.tx_seq
            p.send(bytes([kind]) + b"what is this?")
            if env.lax:
                continue
            p.until(lambda: p.replies)
            if p.replies != [bytes([UNIMPLEMENTED]) + u32(seq)]:
                raise Fault(f"message {kind}, number {seq}: {p.replies}")
        env.runs(p)


def answers_a_ping(env):
    if env.lax:
        return
    for p in each_cipher(env):
        p.send(bytes([192]) + string("are you there?"))
        p.until(lambda: p.replies)
        if p.replies != [bytes([193]) + string("are you there?")]:
            raise Fault(f"{p.replies}")


# ---- data ----

def takes_a_flood_of_empty_data(env):
    for p in each_cipher(env):
        ch = p.exec("cat")
        for i in range(0, env.many, 100):
            p.cork()
            for _ in range(100):
                ch.send(DATA, string(""))
            p.uncork()
        ch.data(b"end")
        ch.eof()
        if ch.finish() != b"end":
            raise Fault("bytes were lost")
        env.small(p)


def takes_many_tiny_pieces(env):
    for p in each_cipher(env):
        ch = p.exec("md5sum; md5sum </dev/null")
        for i in range(0, env.many, 100):
            p.cork()
            for _ in range(100):
                ch.send(DATA, string("x"))
                ch.window -= 1
            p.uncork()
        ch.eof()
        ch.finish()
        env.small(p)


def refuses_data_behind_the_end(env):
    for p in each_cipher(env):
        ch = p.exec("sleep 1000")
        ch.eof()
        ch.send(DATA, string("late"))
        env.ends(p, PROTOCOL)


def drops_extended_data_of_the_client(env):
    for p in each_cipher(env):
        ch = p.exec("cat")
        for i in range(3 * WINDOW // 32768):
            p.until(lambda: ch.window >= 32768)
            # 0 is no type; the data are not the channel's for that
            ch.send(EXT_DATA, u32(i % 3) + string(bytes(32768)))
            ch.window -= 32768
        ch.data(b"end")
        ch.eof()
        if ch.finish() != b"end":
            raise Fault("it was not dropped")


def grants_what_a_deaf_command_drops(env):
    for p in each_cipher(env):
        ch = p.exec("exec <&-; sleep 1000")
        ch.data(bytes(2 * WINDOW + 65536))
        env.runs(p)


def stops_granting_to_a_slow_command(env):
    """A command that reads nothing holds up its channel and nothing else."""
    for p in each_cipher(env):
        ch = p.exec("sleep 1000")
        sent = 0
        while ch.window:
            n = min(ch.window, ch.max_packet)
            ch.send(DATA, string(bytes(n)))
            ch.window -= n
            sent += n
            p.drain()
            if sent > 64 * WINDOW:
                raise Fault("the window never ends")
        env.runs(p)
        env.small(p)


def lives_with_a_peer_that_never_reads(env):
    for p in each_cipher(env):
        p.exec("cat /dev/zero", window=0x7fffffff)
        p.exec("cat /dev/zero >&2", window=0x7fffffff)
        ch = p.open(window=0x7fffffff)
        ch.request("exec", string("yes"))
        # and does not stop asking
        p.reads = False
        for _ in range(2000):
            try:
                p.send_now(bytes([GLOBAL_REQUEST]) + string("x") + b"\1")
            except BlockingIOError:
                break
        env.others()
        env.small(p)


def ends_a_channel_in_the_middle(env):
    for p in each_cipher(env):
        ch = p.exec("cat /dev/zero", window=1 << 30)
        p.until(lambda: len(ch.out) > 100000)
        ch.close()
        p.until(lambda: "close" in ch.events)
        ch = p.exec("cat", window=1 << 30)
        ch.data(bytes(100000))
        ch.close()
        p.until(lambda: "close" in ch.events)
        env.runs(p)


def sends_signals(env):
    with env.login() as p:
        ch = p.exec("sleep 1000")
        if not env.lax:
            if ch.request("signal", string("NONSENSE")):
                raise Fault("an unknown signal was taken")
        ch.request("signal", string("TERM"), want_reply=False)
        ch.finish()
        if ch.status != "TERM":
            raise Fault(f"status {ch.status}")

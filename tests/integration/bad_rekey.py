# SPDX-License-Identifier: MIT
"""Bad peers: key exchanges in the middle of a session, and limits."""
import hashlib
import os
import time

from peer import (ADJUST, DATA, ECDH_INIT, GLOBAL_REQUEST, IGNORE, KEXINIT,
                  NEWKEYS, OPEN, WINDOW,
                  Closed, Fault, string, u32)

PROTOCOL, KEX_FAILED, MAC_ERROR = 2, 3, 5


def each_cipher(env, **args):
    for cipher in env.ciphers:
        with env.login(cipher=cipher, **args) as p:
            yield p


def echo(p, size, every, then):
    """Through cat and back, and at each so many bytes something else."""
    data = os.urandom(size)
    ch = p.exec("cat")
    for off in range(0, size, every):
        ch.data(data[off:off + every])
        then()
    ch.eof()
    if hashlib.sha256(ch.finish()).digest() != hashlib.sha256(data).digest():
        raise Fault("bytes were lost or changed")


def rekeys_with_data_in_flight(env):
    for strict in (True, False):
        for p in each_cipher(env, strict=strict):
            echo(p, 40 * 32768, 2 * 32768, p.rekey)


def rekeys_again_and_again(env):
    for p in each_cipher(env):
        for _ in range(30 if env.heavy else 5):
            p.rekey()
        env.runs(p)


def rekeys_when_the_server_wants(env):
    for p in each_cipher(env, port=env.rekey_port):
        echo(p, 60 * 32768, 32768, lambda: None)
        if p.rekeys < 2:
            raise Fault("the server has asked for none")


def rekeys_at_once_from_both_sides(env):
    for p in each_cipher(env, port=env.rekey_port):
        echo(p, 20 * 32768, 32768, p.rekey)


def changes_the_cipher(env):
    for old in env.ciphers:
        for new in env.ciphers:
            with env.login(cipher=old) as p:
                p.rekey_cipher = new
                echo(p, 4 * 32768, 32768, p.rekey)


def takes_another_cipher_in_each_direction(env):
    for one in env.ciphers:
        for other in env.ciphers:
            with env.peer(cipher=one) as p:
                p.rx_cipher = other
                p.login()
                echo(p, 4 * 32768, 32768, p.rekey)


def refuses_a_key_exchange_in_a_key_exchange(env):
    for p in each_cipher(env):
        p.send_kexinit()
        p.send_kexinit()
        env.ends(p, PROTOCOL, KEX_FAILED)


def refuses_channels_in_a_key_exchange(env):
    for msg in (bytes([DATA]) + u32(0) + string("x"),
                bytes([ADJUST]) + u32(0) + u32(1),
                bytes([GLOBAL_REQUEST]) + string("x") + b"\1",
                bytes([OPEN]) + string("session") + u32(9) + u32(WINDOW) +
                u32(32768)):
        with env.login() as p:
            p.exec("sleep 1000")
            p.send_kexinit()
            p.send(msg)
            env.ends(p, PROTOCOL, KEX_FAILED)


def refuses_parts_of_a_key_exchange_alone(env):
    for msg in (bytes([NEWKEYS]), bytes([ECDH_INIT]) + string(bytes(32)),
                bytes([49]), bytes([KEXINIT])):
        with env.login() as p:
            p.send(msg)
            env.ends(p, PROTOCOL, KEX_FAILED)


def refuses_a_bad_point_in_a_rekey(env):
    for p in each_cipher(env):
        p.send_kexinit()
        p.recv_kexinit()
        p.send_ecdh(bytes(32))
        env.ends(p, PROTOCOL, KEX_FAILED)


def refuses_old_keys_behind_newkeys(env):
    for p in each_cipher(env):
        p.send_kexinit()
        p.recv_kexinit()
        p.send_ecdh()
        p.recv_reply()
        p.recv_newkeys()
        p.send(bytes([NEWKEYS]))
        if p.strict_on:
            p.tx_seq = 0
        p.send(bytes([IGNORE]) + string(bytes(5000)))
        p.send(bytes([IGNORE]) + string(bytes(5000)))
        env.ends(p, MAC_ERROR, PROTOCOL, packet="session")


def takes_ignore_in_a_rekey(env):
    for p in each_cipher(env):
        p.send(bytes([IGNORE]) + string("x"))
        p.send_kexinit()
        p.send(bytes([IGNORE]) + string("x"))
        p.recv_kexinit()
        p.send(bytes([IGNORE]) + string("x"))
        p.finish_kex()
        env.runs(p)


def holds_still_in_a_stalled_rekey(env):
    """Ours is on its way, and we take our time."""
    for p in each_cipher(env):
        ch = p.exec("head -c 3000000 /dev/zero; echo end >&2")
        p.until(lambda: len(ch.out) > 100000)
        p.send_kexinit()
        p.recv_kexinit()
        env.others()
        env.small(p)
        p.finish_kex()
        if len(ch.finish()) != 3000000 or ch.err != b"end\n":
            raise Fault("bytes were lost")


def next_kexinit(p, busy=lambda: None):
    """Until the server wants a key exchange, which is not answered."""
    p.in_kex = True
    while True:
        busy()
        msg = p.recv_any()
        if msg[0] == KEXINIT:
            p.in_kex = False
            return msg
        p.handle(msg)


def bears_a_peer_that_does_not_rekey(env):
    """Its KEXINIT is out; until ours is we may go on sending, and we do."""
    for p in each_cipher(env, port=env.rekey_port):
        ch = p.exec("cat >/dev/null")

        def send_all():
            while ch.window >= ch.max_packet:
                ch.send(DATA, string(bytes(ch.max_packet)))
                ch.window -= ch.max_packet

        msg = next_kexinit(p, send_all)
        send_all()
        env.small(p)
        env.others()
        p.answer_kexinit(msg)
        ch.eof()
        ch.finish()
        env.runs(p)


def keeps_replies_bounded_in_a_stalled_rekey(env):
    """Whoever asks much, and takes no answers, is let go at some point."""
    with env.login(port=env.rekey_port) as p:
        ch = p.exec("cat >/dev/null")
        for _ in range(8):
            ch.send(DATA, string(bytes(ch.max_packet)))
        next_kexinit(p)
        p.reads = False
        try:
            for _ in range(env.many * 6):
                p.send_now(bytes([GLOBAL_REQUEST]) + string("x") + b"\1")
        except (BlockingIOError, BrokenPipeError, ConnectionResetError):
            pass
        env.small(p)
        env.others()


# ---- limits before authentication ----

def ends_slow_loris(env):
    """LoginGraceTime ends whoever is not in by then, however busy."""
    silent = env.peer(port=env.grace_port)
    busy = env.peer(port=env.grace_port)
    keyed = env.peer(port=env.grace_port)
    keyed.handshake()
    line = iter(b"SSH-2.0-" + b"z" * 200)
    try:
        while True:
            busy.sock.sendall(bytes([next(line)]))
            time.sleep(0.05)
    except (BrokenPipeError, ConnectionResetError, StopIteration):
        pass
    for p in (silent, busy, keyed):
        try:
            p.end()
        except Fault:
            p.wait_closed()
        p.sock.close()


def limits_startups(env):
    """MaxStartups 3: some are turned away, and none for good."""
    ps = [env.peer(port=env.grace_port) for _ in range(12)]
    served = 0
    for p in ps:
        try:
            p.banner()
            served += 1
        except Closed:
            pass
    if not 0 < served <= (12 if env.lax else 3):
        raise Fault(f"{served} of 12 were served")
    for p in ps:
        p.sock.close()
    env.retry(lambda: env.login(port=env.grace_port).sock.close())


def keeps_sessions_beyond_the_grace_time(env):
    with env.login(port=env.grace_port) as p:
        time.sleep(env.grace + 2)
        env.runs(p)

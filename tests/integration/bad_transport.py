# SPDX-License-Identifier: MIT
"""Bad peers, first layer: versions, key exchange, packets."""
import os
import socket
import struct

from peer import (AUTH_FAILURE, AUTH_REQUEST, AUTH_SUCCESS, DATA, DEBUG,
                  DISCONNECT, ECDH_INIT, ECDH_REPLY, IGNORE, NEWKEYS,
                  SERVICE_REQUEST, UNIMPLEMENTED, Closed, Disconnected, Fault,
                  string, u32)

PROTOCOL, KEX_FAILED, MAC_ERROR = 2, 3, 5


def closed(peer):
    """Before there are packets: closed, whatever text comes first."""
    peer.wait_closed()


# ---- version ----

def refuses_a_garbage_banner(env):
    for line in (b"\0\xff\x01garbage\r\n", b"GET / HTTP/1.1\r\n\r\n", b"\n",
                 b"SSH\r\n", b"SSH-2.0\r\n", b"SSH-2.0-a\0b\r\n",
                 b"SSH-3.7-x\r\n"):
        with env.peer() as p:
            p.raw(line)
            if env.lax:
                p.raw(b"\r\n" * 2000)
            closed(p)


def refuses_an_oversized_banner(env):
    with env.peer() as p:
        p.raw(b"SSH-2.0-" + b"a" * 300 + b"\r\n")
        closed(p)


def refuses_an_endless_banner(env):
    with env.peer() as p:
        try:
            for _ in range(64):
                p.raw(b"x" * 16384)
        except Closed:
            return
        closed(p)


def refuses_ssh_1(env):
    with env.peer() as p:
        p.raw(b"SSH-1.5-old\r\n")
        closed(p)


def takes_the_longest_banner(env):
    with env.peer() as p:
        p.banner(b"SSH-2.0-" + b"a" * (253 - 8))
        p.rekey()
        p.auth()
        env.runs(p)


# ---- KEXINIT ----

def refuses_a_truncated_kexinit(env):
    with env.peer() as p:
        whole = p.kexinit()
    cuts = {1, 2, 16, 17, 18, 20, 21, 22, len(whole) - 1, len(whole) - 4,
            len(whole) - 5}
    off = 17
    for _ in range(10):
        n = struct.unpack(">I", whole[off:off + 4])[0]
        cuts |= {off, off + 3, off + 4, off + 4 + n // 2}
        off += 4 + n
    cuts = sorted(cuts)
    for cut in cuts[::1 if env.heavy else 5]:
        with env.peer() as p:
            p.banner()
            p.send(whole[:cut])
            env.ends(p, PROTOCOL, KEX_FAILED)


def refuses_a_kexinit_with_bytes_behind(env):
    with env.peer() as p:
        p.banner()
        p.send(p.kexinit() + b"x")
        env.ends(p, PROTOCOL, KEX_FAILED)


def refuses_name_lists_that_are_none(env):
    for kex in (b"", b",", b"curve25519-sha256\0",
                b"a" * 70000, b",".join([b"a"] * 3000)):
        with env.peer() as p:
            p.banner()
            p.send(p.kexinit(kex=kex))
            env.ends(p, PROTOCOL, KEX_FAILED)


def refuses_no_algorithm_in_common(env):
    ctr = {"cipher_c2s": "aes128-ctr", "cipher_s2c": "aes128-ctr"}
    for lists in ({"kex": "diffie-hellman-group1-sha1"},
                  {"hostkey": "ssh-dss"}, {"cipher_c2s": "3des-cbc"},
                  {"cipher_s2c": "3des-cbc"},
                  dict(ctr, mac_c2s="hmac-md5"),
                  dict(ctr, mac_s2c="hmac-md5"),
                  {"comp_c2s": "zlib"}, {"comp_s2c": "zlib"}):
        with env.peer() as p:
            p.banner()
            p.send_kexinit(**lists)
            env.ends(p, KEX_FAILED)


def refuses_a_second_kexinit(env):
    with env.peer() as p:
        p.banner()
        p.send_kexinit()
        p.send_kexinit()
        env.ends(p, PROTOCOL, KEX_FAILED)


def refuses_a_flood_of_kexinits(env):
    with env.peer() as p:
        p.banner()
        try:
            for _ in range(500):
                p.send_kexinit()
        except Closed:
            return
        env.ends(p, PROTOCOL, KEX_FAILED)


def drops_a_wrong_guess(env):
    with env.peer() as p:
        p.banner()
        p.send_kexinit(follows=True, kex="diffie-hellman-group1-sha1,"
                       "curve25519-sha256,kex-strict-c-v00@openssh.com")
        p.send(bytes([ECDH_INIT]) + string(b"\4" + bytes(132)))
        p.recv_kexinit()
        p.finish_kex()
        p.auth()
        env.runs(p)


def drops_a_guess_that_is_good_but_not_the_first(env):
    # The server would rather have ML-KEM, so this is a wrong guess too.
    with env.peer() as p:
        p.banner()
        p.send_kexinit(follows=True)
        p.send_ecdh()
        p.recv_kexinit()
        p.finish_kex()
        p.auth()
        env.runs(p)


def takes_a_right_guess(env):
    with env.peer(port=env.rekey_port) as p:
        p.banner()
        p.send_kexinit(follows=True)
        p.send_ecdh()
        p.recv_kexinit()
        p.recv_reply()
        p.send_newkeys()
        p.recv_newkeys()
        p.auth()
        env.runs(p)


# ---- key exchange ----

def refuses_bad_points(env):
    low = bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd8662"
                        "05165f49b800")
    for kex, point in (
            ("curve25519-sha256", bytes(32)),
            ("curve25519-sha256", b"\1" + bytes(31)),
            ("curve25519-sha256", low),
            ("curve25519-sha256", b""),
            ("curve25519-sha256", b"x" * 31),
            ("curve25519-sha256", b"x" * 33),
            ("ecdh-sha2-nistp256", b"\4" + b"\1" * 64),
            ("ecdh-sha2-nistp256", b"\0"),
            ("ecdh-sha2-nistp256", b"\4" + bytes(63)),
            ("ecdh-sha2-nistp256", b""),
            ("mlkem768x25519-sha256", b"x" * 32),
            ("mlkem768x25519-sha256", b"\xff" * 1216),
            ("mlkem768x25519-sha256", bytes(1216)),
            ("mlkem768x25519-sha256", b"x" * 1217)):
        with env.peer() as p:
            p.kex_name = kex
            p.banner()
            p.send_kexinit()
            p.recv_kexinit()
            p.send_ecdh(point)
            env.ends(p, KEX_FAILED, PROTOCOL)


def refuses_a_malformed_ecdh_init(env):
    for msg in (b"", u32(32), u32(32) + b"x" * 31, u32(0xffffffff) + b"x" * 32,
                string(b"x" * 32) + b"y"):
        with env.peer() as p:
            p.banner()
            p.send_kexinit()
            p.recv_kexinit()
            p.send(bytes([ECDH_INIT]) + msg)
            env.ends(p, KEX_FAILED, PROTOCOL)


def refuses_newkeys_before_its_time(env):
    for steps in (0, 1):
        with env.peer() as p:
            p.banner()
            if steps:
                p.send_kexinit()
                p.recv_kexinit()
            p.send(bytes([NEWKEYS]))
            env.ends(p, PROTOCOL, KEX_FAILED)


def refuses_newkeys_with_a_body(env):
    with env.peer() as p:
        p.banner()
        p.send_kexinit()
        p.recv_kexinit()
        p.send_ecdh()
        p.recv_reply()
        p.recv_newkeys()
        p.send(bytes([NEWKEYS]) + b"x")
        env.ends(p, PROTOCOL, KEX_FAILED)


def refuses_anything_else_in_a_strict_key_exchange(env):
    extra = bytes([IGNORE]) + string("terrapin")
    for place in range(4):
        for msg in (extra, bytes([DEBUG, 0]) + string("") * 2,
                    bytes([UNIMPLEMENTED]) + u32(0))[:3 if env.heavy else 1]:
            with env.peer() as p:
                p.banner()
                if place == 0:
                    p.send(msg)
                p.send_kexinit()
                if place == 1:
                    p.send(msg)
                p.recv_kexinit()
                if place < 2:
                    env.ends(p, PROTOCOL, KEX_FAILED)
                    continue
                if place == 2:
                    p.send(msg)
                p.send_ecdh()
                try:
                    p.recv_reply()
                except (Closed, Disconnected):
                    continue
                if place == 2:
                    raise Fault("the exchange went on")
                p.recv_newkeys()
                p.send(msg)
                env.ends(p, PROTOCOL, KEX_FAILED)


def lets_ignore_pass_without_strict(env):
    extra = bytes([IGNORE]) + string("padding")
    with env.peer(strict=False) as p:
        p.banner()
        p.send(extra)
        p.send_kexinit()
        p.send(extra)
        p.recv_kexinit()
        p.send(bytes([DEBUG, 1]) + string("hello") + string(""))
        p.send_ecdh()
        p.recv_reply()
        p.send(extra)
        p.send_newkeys()
        p.recv_newkeys()
        p.auth()
        env.runs(p)
        p.rekey()
        env.runs(p)


def refuses_other_layers_in_the_key_exchange(env):
    for msg in (bytes([SERVICE_REQUEST]) + string("ssh-userauth"),
                bytes([AUTH_REQUEST]) + string("root") * 3,
                bytes([DATA]) + u32(0) + string("x"),
                bytes([ECDH_REPLY]) + string("x") * 3):
        with env.peer() as p:
            p.banner()
            p.send_kexinit()
            p.recv_kexinit()
            p.send(msg)
            env.ends(p, PROTOCOL, KEX_FAILED)


# ---- packets ----

def at_stages(env, ciphers=None):
    """A connection before keys, with keys, and with a session."""
    for stage in ("plain", "keys", "session"):
        for cipher in ["none"] if stage == "plain" else ciphers or env.ciphers:
            p = env.peer() if cipher == "none" else env.peer(cipher=cipher)
            with p:
                p.stage = stage
                p.banner()
                if stage != "plain":
                    p.rekey()
                if stage == "session":
                    p.auth()
                    env.runs(p)
                yield p


def send_wrong(p, payload, **wrong):
    """What must be refused, and enough behind it to be sure it is looked at."""
    p.send(payload, **wrong)
    p.raw(os.urandom(4096))


def refuses_impossible_packet_lengths(env):
    for length in (0, 1, 4, 0x7fffffff, 0xffffffff, 256 * 1024 + 16):
        for p in at_stages(env):
            send_wrong(p, bytes([IGNORE]) + string("x"), length=length)
            env.ends(p, PROTOCOL, MAC_ERROR, packet=p.stage)


def refuses_misaligned_packet_lengths(env):
    for p in at_stages(env):
        send_wrong(p, bytes([IGNORE]) + string("x" * 32), length=41)
        env.ends(p, PROTOCOL, MAC_ERROR, packet=p.stage)


def refuses_padding_that_does_not_fit(env):
    for pad in (0, 1, 3, 255):
        for p in at_stages(env):
            # Only the number is wrong, the length is right.
            payload = bytes([IGNORE]) + string("x" * 26)
            whole = 48 if p.tx.clear_len else 8 * p.tx.block
            fill = whole - len(payload) - (1 if p.tx.clear_len else 5)
            p.send(payload, pad=pad, fill=fill)
            env.ends(p, PROTOCOL, packet=p.stage)


def refuses_an_empty_payload(env):
    for p in at_stages(env):
        p.send(b"")
        env.ends(p, PROTOCOL, packet=p.stage)


def refuses_a_wrong_mac(env):
    for where in (-1, -16, 20):
        for p in at_stages(env):
            if p.stage == "plain":
                continue
            wire = bytearray(p.seal(p.plain(bytes([IGNORE]) +
                                            string("x" * 32))))
            wire[where] ^= 1
            p.raw(bytes(wire))
            env.ends(p, MAC_ERROR, packet=p.stage)


def refuses_a_replayed_packet(env):
    for p in at_stages(env):
        if p.stage == "plain":
            continue
        wire = p.seal(p.plain(bytes([IGNORE]) + string("x" * 32)))
        p.raw(wire + wire)
        p.raw(os.urandom(4096))
        env.ends(p, MAC_ERROR, PROTOCOL, packet=p.stage)


def refuses_a_packet_left_out(env):
    for p in at_stages(env):
        if p.stage == "plain":
            continue
        p.seal(p.plain(bytes([IGNORE]) + string("x" * 32)))
        p.send(bytes([IGNORE]) + string("x" * 32))
        p.raw(os.urandom(4096))
        env.ends(p, MAC_ERROR, PROTOCOL, packet=p.stage)


def takes_all_paddings_and_sizes(env):
    for cipher in env.ciphers:
        with env.login(cipher=cipher) as p:
            for n in range(0, 70):
                p.send(bytes([IGNORE]) + string("x" * n))
            for blocks in range(1, 15):
                payload = bytes([IGNORE]) + string("x" * 7)
                pad = 16 * blocks - 1 - len(payload)
                if not p.tx.clear_len:
                    pad -= 4
                if pad >= 4:
                    p.send(payload, pad=pad)
            p.send(bytes([IGNORE]) + string("x" * (255 * 1024)))
            env.runs(p)


def takes_every_packet_split_at_every_byte(env):
    for cipher in env.ciphers[:None if env.heavy else 1]:
        p = env.peer(cipher=cipher)
        with p:
            p.split = True
            p.banner()
            p.rekey()
            p.auth()
            for _ in range(2):
                if p.run("cat", b"0123456789" * 10) != b"0123456789" * 10:
                    raise Fault("bytes were changed")
            p.rekey()
            env.runs(p)


def takes_a_flood_of_ignore(env):
    with env.login() as p:
        p.cork()
        for _ in range(env.many):
            p.send(bytes([IGNORE]) + string("flood"))
        p.uncork()
        env.runs(p)
        env.small(p)


# ---- loss ----

def half_packet(p, payload):
    wire = p.seal(p.plain(payload))
    p.raw(wire[:len(wire) // 2])


def finish_first_kex(p):
    p.send_newkeys()
    p.recv_newkeys()


def half_kex(p):
    p.send_ecdh()
    p.recv_reply()


def ask_none(p):
    p.send(p.auth_request())
    p.expect(AUTH_FAILURE)


def is_accepted(p):
    p.send(p.signed_request())
    p.expect(AUTH_SUCCESS)


# One after the other; a peer is lost after each.
STEPS = [lambda p: None, lambda p: p.banner(), lambda p: p.send_kexinit(),
         lambda p: p.recv_kexinit(), half_kex, finish_first_kex,
         lambda p: p.service(), ask_none, is_accepted,
         lambda p: p.start_open(), lambda p: p.exec("sleep 1000")]


def half_banner(p):
    p.raw(b"SSH-2.0-half")


def half_kexinit(p):
    p.banner()
    half_packet(p, p.kexinit())


def half_auth(p):
    p.handshake()
    p.service()
    half_packet(p, p.signed_request())


def in_download(p):
    p.login()
    p.exec("cat /dev/zero", window=1 << 30)
    p.fill()


def in_upload(p):
    p.login()
    ch = p.exec("cat >/dev/null")
    ch.data(bytes(300000))
    half_packet(p, bytes([DATA]) + u32(ch.remote) + string(bytes(30000)))


def in_rekey(p):
    p.login()
    p.exec("cat /dev/zero", window=1 << 30)
    p.send_kexinit()
    p.recv_kexinit()


def in_rekey_with_keys(p):
    in_rekey(p)
    p.send_ecdh()
    p.recv_reply()
    p.send_newkeys()


def with_an_open_stdin(p):
    p.login()
    p.exec("cat")
    p.exec("exec >&- 2>&-; sleep 1000")


def lose(env, how):
    for n in range(1, len(STEPS) + 1):
        p = env.peer()
        for step in STEPS[:n]:
            step(p)
        how(p)
    env.settled()
    for cipher in env.ciphers[:None if env.heavy else 1]:
        for stand in (half_banner, half_kexinit, half_auth, in_download,
                      in_upload, in_rekey, in_rekey_with_keys,
                      with_an_open_stdin):
            p = env.peer(cipher=cipher)
            stand(p)
            how(p)
        env.settled()


def survives_a_close_at_every_stage(env):
    lose(env, lambda p: p.sock.close())


def survives_a_reset_at_every_stage(env):
    lose(env, lambda p: p.reset())


def survives_a_half_close_at_every_stage(env):
    def half_close(p):
        p.sock.shutdown(socket.SHUT_WR)
        p.wait_closed()
        p.sock.close()
    lose(env, half_close)


def ends_on_disconnect(env):
    with env.login() as p:
        p.exec("sleep 1000")
        p.send(bytes([DISCONNECT]) + u32(11) + string("bye\x1b[31m\n") +
               string(""))
        p.wait_closed()
    with env.login() as p:
        p.send(bytes([DISCONNECT]))
        p.wait_closed()

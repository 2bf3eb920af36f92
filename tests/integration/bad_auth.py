# SPDX-License-Identifier: MIT
"""Bad peers, second layer: services and authentication."""
from cryptography.hazmat.primitives.asymmetric import ed25519

from peer import (AUTH_FAILURE, AUTH_PK_OK, AUTH_REQUEST, AUTH_SUCCESS, CLOSE,
                  DATA, EOF, GLOBAL_REQUEST, OPEN, REQUEST, SERVICE_ACCEPT,
                  SERVICE_REQUEST, Closed, Disconnected, Fault, WINDOW,
                  string, u32)

PROTOCOL, SERVICE_NOT_AVAILABLE, NO_MORE_METHODS = 2, 7, 14
PING, PONG = 192, 193  # OpenSSH PROTOCOL 1.9


def refuses_channels_before_authentication(env):
    for msg in (bytes([OPEN]) + string("session") + u32(0) + u32(WINDOW) +
                u32(32768),
                bytes([DATA]) + u32(0) + string("x"), bytes([EOF]) + u32(0),
                bytes([CLOSE]) + u32(0),
                bytes([REQUEST]) + u32(0) + string("shell") + b"\1",
                bytes([GLOBAL_REQUEST]) + string("tcpip-forward") + b"\1"):
        for stage in ("keys", "service"):
            with env.peer() as p:
                p.handshake()
                if stage == "service":
                    p.service()
                p.send(msg)
                env.ends(p, PROTOCOL)


def refuses_an_unknown_service(env):
    for name in ("ssh-connection", "ssh-nonsense", "", "x" * 1000):
        with env.peer() as p:
            p.handshake()
            p.send(bytes([SERVICE_REQUEST]) + string(name))
            env.ends(p, SERVICE_NOT_AVAILABLE, PROTOCOL)


def refused(p, *types):
    """Neither success nor the end of the server; the end of us is fine."""
    try:
        msg = p.expect(AUTH_SUCCESS, AUTH_FAILURE, *types)
    except (Closed, Disconnected):
        return None
    if msg[0] == AUTH_SUCCESS:
        raise Fault("was let in")
    return msg


def refuses_a_wrong_service_in_the_request(env):
    for service in ("ssh-userauth", "ssh-nonsense", ""):
        with env.peer() as p:
            p.handshake()
            p.service()
            p.send(p.signed_request(service=service))
            refused(p)


def refuses_authentication_before_the_service(env):
    with env.peer() as p:
        p.handshake()
        p.send(p.signed_request())
        if not env.lax:
            refused(p)


def names_the_methods_left(env):
    with env.peer() as p:
        p.handshake()
        p.service()
        p.send(p.auth_request())
        msg = p.expect(AUTH_FAILURE)
        if b"publickey" not in msg or b"none" in msg:
            raise Fault(f"methods: {msg}")


def ends_after_max_auth_tries(env):
    other = ed25519.Ed25519PrivateKey.generate()
    with env.peer() as p:
        p.handshake()
        p.service()
        failures = 0
        try:
            while True:
                p.send(p.signed_request(key=other))
                if p.expect(AUTH_SUCCESS, AUTH_FAILURE)[0] == AUTH_SUCCESS:
                    raise Fault("was let in")
                failures += 1
                if failures > 10:
                    raise Fault("there is no end to it")
        except Disconnected as e:
            if e.reason not in (NO_MORE_METHODS, PROTOCOL):
                raise
        except Closed:
            if not env.lax:
                raise Fault("no reason given") from None


def counts_tries_of_all_kinds(env):
    with env.peer() as p:
        p.handshake()
        p.service()
        try:
            for i in range(300):
                p.send(p.auth_request(method="password",
                                      data=b"\0" + string(f"guess{i}")))
                if p.expect(AUTH_SUCCESS, AUTH_FAILURE)[0] == AUTH_SUCCESS:
                    raise Fault("was let in")
        except (Disconnected, Closed):
            return
        raise Fault("there is no end to it")


def refuses_bad_signatures(env):
    def flip(msg, at):
        msg = bytearray(msg)
        msg[at] ^= 1
        return bytes(msg)

    for change in (lambda p: p.signed_request(session_id=bytes(32)),
                   lambda p: flip(p.signed_request(), -1),
                   lambda p: flip(p.signed_request(), -40),
                   lambda p: p.signed_request()[:-1],
                   lambda p: p.signed_request() + b"x",
                   lambda p: p.signed_request()[:-64 - 4] + u32(0)):
        with env.peer() as p:
            p.handshake()
            p.service()
            p.send(change(p))
            refused(p)


def refuses_truncated_requests(env):
    with env.peer() as p:
        p.handshake()
        whole = p.signed_request()
    for cut in range(1, len(whole), 7 if env.heavy else 40):
        with env.peer() as p:
            p.handshake()
            p.service()
            p.send(p.signed_request()[:cut])
            refused(p)


def refuses_odd_names(env):
    for user in ("", "a" * 40000, "root\0", "../../etc", "-x", "kssh test",
                 b"\xff\xfe", "%h", "\n"):
        with env.peer() as p:
            p.handshake()
            p.service()
            p.send(p.signed_request(user=user))
            refused(p)


def refuses_odd_methods(env):
    for method in ("", "x" * 40000, "publickey\0", "hostbased",
                   "keyboard-interactive", "password"):
        with env.peer() as p:
            p.handshake()
            p.service()
            p.send(p.auth_request(method=method, data=b"\0" * 8))
            refused(p)


def asks_for_a_signature(env):
    blob = string("ssh-ed25519") + string(
        env.key.public_key().public_bytes_raw())
    ask = b"\0" + string("ssh-ed25519") + string(blob)
    with env.peer() as p:
        p.handshake()
        p.service()
        p.send(p.auth_request("publickey", ask))
        if p.expect(AUTH_PK_OK, AUTH_FAILURE) != (
                bytes([AUTH_PK_OK]) + ask[1:]):
            raise Fault("the good key is not asked for")
        p.send(p.signed_request())
        p.expect(AUTH_SUCCESS)
        env.runs(p)


def does_not_tell_who_exists(env):
    blob = string("ssh-ed25519") + string(
        ed25519.Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    answers = set()
    for user in (env.user, "nobody-of-this-name"):
        with env.peer() as p:
            p.handshake()
            p.service()
            p.send(p.auth_request("publickey", b"\0" + string("ssh-ed25519") +
                                  string(blob), user=user))
            answers.add(refused(p, AUTH_PK_OK))
    if len(answers) != 1:
        raise Fault(f"answers differ: {answers}")


def takes_everything_in_one_segment(env):
    """All that may be said before the server's channel number is known."""
    for cipher in env.ciphers:
        with env.peer(cipher=cipher) as p:
            p.handshake()
            p.cork()
            p.send(bytes([SERVICE_REQUEST]) + string("ssh-userauth"))
            p.send(p.auth_request())
            p.send(p.signed_request())
            chs = [p.start_open(), p.start_open()]
            p.uncork()
            p.expect(SERVICE_ACCEPT)
            p.expect(AUTH_FAILURE)
            p.expect(AUTH_SUCCESS)
            p.until(lambda: None not in (chs[0].remote, chs[1].remote))
            for ch in chs:
                ch.request("exec", string("cat"))
                ch.data(b"glued")
                ch.eof()
            for ch in chs:
                if ch.finish() != b"glued" or ch.status != 0:
                    raise Fault(f"output {ch.out}, status {ch.status}")


def takes_what_comes_with_the_request(env):
    """The packets behind the request arrive before the session process is."""
    for n in (1, 7, 100):
        with env.peer() as p:
            p.handshake()
            p.service()
            p.cork()
            p.send(p.signed_request())
            ch = p.start_open()
            for i in range(n):
                p.send(bytes([PING]) + string(u32(i) + bytes(10000)))
            p.uncork()
            p.expect(AUTH_SUCCESS)
            p.until(lambda: len(p.replies) == n)
            for i, msg in enumerate(p.replies):
                if msg != bytes([PONG]) + string(u32(i) + bytes(10000)):
                    raise Fault(f"answer {i} is {msg[:20]}")
            if ch.remote is None:
                raise Fault("no channel before the answers")
            ch.request("exec", string("wc -c"))
            ch.data(bytes(10000))
            ch.eof()
            if int(ch.finish()) != 10000:
                raise Fault(f"output {ch.out}")


def ignores_requests_after_success(env):
    with env.login() as p:
        p.send(p.signed_request())
        p.send(p.auth_request(user="root"))
        env.runs(p)


def rekeys_before_authentication(env):
    with env.peer() as p:
        p.handshake()
        p.rekey()
        p.service()
        p.rekey()
        p.send(p.signed_request())
        p.expect(AUTH_SUCCESS)
        env.runs(p)
        p.rekey()
        env.runs(p)


def survives_a_long_authentication_message(env):
    with env.peer() as p:
        p.handshake()
        p.service()
        p.send(bytes([AUTH_REQUEST]) + string("x" * 200000))
        refused(p)

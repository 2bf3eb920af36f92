# SPDX-License-Identifier: MIT
"""A small SSH-2 client that can misbehave at every layer.

Written from the RFCs for the tests of this folder: nothing is shared with the
server. Packets are built by hand, so that every field can be wrong.
"""
import hashlib
import hmac
import os
import select
import socket
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import poly1305, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

# A guard against hanging, not a limit that anything is measured by.
HANG = float(os.environ.get("KSSH_HANG", "120"))

DISCONNECT, IGNORE, UNIMPLEMENTED, DEBUG = 1, 2, 3, 4
SERVICE_REQUEST, SERVICE_ACCEPT, EXT_INFO = 5, 6, 7
KEXINIT, NEWKEYS, ECDH_INIT, ECDH_REPLY = 20, 21, 30, 31
AUTH_REQUEST, AUTH_FAILURE, AUTH_SUCCESS, AUTH_PK_OK = 50, 51, 52, 60
GLOBAL_REQUEST, REQUEST_SUCCESS, REQUEST_FAILURE = 80, 81, 82
OPEN, OPEN_OK, OPEN_FAILURE, ADJUST, DATA, EXT_DATA = 90, 91, 92, 93, 94, 95
EOF, CLOSE, REQUEST, SUCCESS, FAILURE = 96, 97, 98, 99, 100

GCM128 = "aes128-gcm@openssh.com"
GCM256 = "aes256-gcm@openssh.com"
CHACHA = "chacha20-poly1305@openssh.com"
CTR_ETM = "aes128-ctr+hmac-sha2-256-etm@openssh.com"
CTR_MAC = "aes256-ctr+hmac-sha2-512"

PACKET_MAX = 256 * 1024
WINDOW = 2 * 1024 * 1024


class Closed(Exception):
    """The server has closed the connection."""


class Disconnected(Exception):
    """The server said SSH_MSG_DISCONNECT."""

    def __init__(self, reason, text):
        super().__init__(f"reason {reason}: {text}")
        self.reason = reason


class Fault(Exception):
    """The server did what it must not."""


def u32(n):
    return struct.pack(">I", n)


def string(s):
    if isinstance(s, str):
        s = s.encode()
    return u32(len(s)) + s


def mpint(raw):
    raw = raw.lstrip(b"\0")
    if raw and raw[0] & 0x80:
        raw = b"\0" + raw
    return string(raw)


class Reader:
    """The fields of a message, in order."""

    def __init__(self, data):
        self.data = data
        self.off = 0

    def take(self, n):
        if self.off + n > len(self.data):
            raise Fault("a message of the server is cut off")
        self.off += n
        return self.data[self.off - n:self.off]

    def u8(self):
        return self.take(1)[0]

    def u32(self):
        return struct.unpack(">I", self.take(4))[0]

    def string(self):
        return self.take(self.u32())

    def end(self):
        if self.off != len(self.data):
            raise Fault("a message of the server has bytes behind its end")


# Ciphers: seal() takes the plain packet from its length field on and returns
# what goes on the wire; open() reads a packet and returns it without length.

class Plain:
    block, clear_len, tag_len = 8, False, 0

    def seal(self, _seq, packet):
        return packet

    def open(self, read, _seq):
        return read(length_of(read(4)))


class Gcm:
    block, clear_len, tag_len = 16, True, 16

    def __init__(self, key, iv, _mac_key):
        self.aead = AESGCM(key)
        self.fixed = iv[:4]
        self.count = struct.unpack(">Q", iv[4:12])[0]

    def nonce(self):
        nonce = self.fixed + struct.pack(">Q", self.count)
        self.count = (self.count + 1) & (1 << 64) - 1
        return nonce

    def seal(self, _seq, packet):
        return packet[:4] + self.aead.encrypt(self.nonce(), packet[4:],
                                              packet[:4])

    def open(self, read, _seq):
        head = read(4)
        body = read(length_of(head) + 16)
        try:
            return self.aead.decrypt(self.nonce(), body, head)
        except InvalidTag:
            raise Fault("the tag of the server is wrong") from None


class Chacha:
    block, clear_len, tag_len = 8, True, 16

    def __init__(self, key, _iv, _mac_key):
        self.main, self.head = key[:32], key[32:]

    @staticmethod
    def crypt(key, seq, counter, data):
        nonce = struct.pack("<Q", counter) + struct.pack(">Q", seq)
        return Cipher(algorithms.ChaCha20(key, nonce),
                      None).encryptor().update(data)

    def tag(self, seq, data):
        key = self.crypt(self.main, seq, 0, bytes(32))
        return poly1305.Poly1305.generate_tag(key, data)

    def seal(self, seq, packet):
        wire = (self.crypt(self.head, seq, 0, packet[:4]) +
                self.crypt(self.main, seq, 1, packet[4:]))
        return wire + self.tag(seq, wire)

    def open(self, read, seq):
        head = read(4)
        body = read(length_of(self.crypt(self.head, seq, 0, head)))
        if read(16) != self.tag(seq, head + body):
            raise Fault("the tag of the server is wrong")
        return self.crypt(self.main, seq, 1, body)


class Ctr:
    """AES-CTR and HMAC, in both orders."""

    block = 16

    def __init__(self, key, iv, mac_key, digest, etm, sending):
        cipher = Cipher(algorithms.AES(key), modes.CTR(iv))
        self.stream = cipher.encryptor() if sending else cipher.decryptor()
        self.mac_key, self.digest = mac_key, digest
        self.etm = self.clear_len = etm
        self.tag_len = hashlib.new(digest).digest_size

    def mac(self, seq, data):
        return hmac.digest(self.mac_key, u32(seq) + data, self.digest)

    def seal(self, seq, packet):
        if self.etm:
            wire = packet[:4] + self.stream.update(packet[4:])
            return wire + self.mac(seq, wire)
        return self.stream.update(packet) + self.mac(seq, packet)

    def open(self, read, seq):
        if self.etm:
            head = read(4)
            wire = head + read(length_of(head))
            plain = None
        else:
            plain = self.stream.update(read(16))
            plain += self.stream.update(read(length_of(plain[:4]) - 12))
            wire = plain
        if read(self.tag_len) != self.mac(seq, wire):
            raise Fault("the MAC of the server is wrong")
        return plain[4:] if plain else self.stream.update(wire[4:])


def length_of(head):
    n = struct.unpack(">I", head)[0]
    if not 5 <= n <= PACKET_MAX:
        raise Fault(f"the server sends a packet_length of {n}")
    return n


def cipher_sizes(name):
    """Lengths of key, IV and MAC key."""
    return {GCM128: (16, 12, 0), GCM256: (32, 12, 0), CHACHA: (64, 0, 0),
            CTR_ETM: (16, 16, 32), CTR_MAC: (32, 16, 64)}[name]


def make_cipher(name, key, iv, mac_key, sending):
    if name in (GCM128, GCM256):
        return Gcm(key, iv, mac_key)
    if name == CHACHA:
        return Chacha(key, iv, mac_key)
    digest = "sha256" if "sha2-256" in name else "sha512"
    return Ctr(key, iv, mac_key, digest, name.endswith("-etm@openssh.com"),
               sending)


class Channel:
    """Our end of a channel, and what came on it."""

    def __init__(self, peer, local, window):
        self.peer = peer
        self.local = local
        self.remote = None
        self.granted = window
        self.window = 0
        self.max_packet = 0
        self.out = bytearray()
        self.err = bytearray()
        self.events = []
        self.status = None
        self.refused = None

    def send(self, msg, rest=b""):
        self.peer.send(bytes([msg]) + u32(self.remote) + rest)

    def request(self, name, data=b"", want_reply=True):
        self.send(REQUEST, string(name) + bytes([want_reply]) + data)
        if not want_reply:
            return None
        self.peer.until(lambda: self.events and
                        self.events[-1] in ("success", "failure"))
        return self.events.pop() == "success"

    def data(self, data):
        """All of it, as the window allows."""
        data = memoryview(data)
        while data:
            self.peer.until(lambda: self.window)
            n = min(len(data), self.window, self.max_packet)
            self.send(DATA, string(bytes(data[:n])))
            self.window -= n
            data = data[n:]

    def eof(self):
        self.send(EOF)

    def close(self):
        self.send(CLOSE)

    def finish(self):
        """Until the server has closed; then close too."""
        self.peer.until(lambda: "close" in self.events)
        self.close()
        return bytes(self.out)


class Peer:
    """A connection. login() does all; the steps can be taken singly."""

    def __init__(self, port, cipher=GCM128, strict=True, ext_info=True,
                 user=None, key=None, nodelay=True):
        self.cipher, self.strict, self.ext_info = cipher, strict, ext_info
        self.user, self.key = user, key
        self.kex_name, self.rekey_cipher = "curve25519-sha256", None
        self.rx_cipher = None  # if the other direction has another
        self.sock = socket.create_connection(("127.0.0.1", port), HANG)
        self.sock.settimeout(HANG)
        if nodelay:
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rx_buf = bytearray()
        self.tx, self.rx = Plain(), Plain()
        self.tx_seq = self.rx_seq = 0
        self.session_id = None
        self.client_version = b"SSH-2.0-badpeer"
        self.server_version = None
        self.my_init = self.peer_init = None
        self.strict_on = False
        self.in_kex = False
        self.stash = []
        self.channels = {}
        self.next_id = 0
        self.replies = []
        self.auto_adjust = True
        self.corked = None
        self.rekeys = 0
        self.split = False
        self.reads = True

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.sock.close()

    # ---- bytes ----

    def raw(self, data):
        if self.corked is not None:
            self.corked += data
            return
        try:
            if self.split:
                for i in range(len(data)):
                    self.sock.sendall(data[i:i + 1])
            else:
                self.write(memoryview(data))
        except (BrokenPipeError, ConnectionResetError):
            # Why is to be read.
            pass

    def write(self, data):
        """Write, and read when the server must get rid of something first."""
        while data:
            try:
                data = data[self.sock.send(data, socket.MSG_DONTWAIT):]
                continue
            except BlockingIOError:
                pass
            readable, writable, _ = select.select(
                [self.sock] if self.reads else [], [self.sock], [], HANG)
            if not readable and not writable:
                raise Fault("the server takes nothing")
            if readable:
                self.fill()

    def cork(self):
        self.corked = bytearray()

    def uncork(self):
        data, self.corked = bytes(self.corked), None
        self.raw(data)

    def fill(self):
        try:
            data = self.sock.recv(256 * 1024)
        except (ConnectionResetError, BrokenPipeError):
            raise Closed from None
        except TimeoutError:
            raise Fault("the server is silent") from None
        if not data:
            raise Closed
        self.rx_buf += data

    def read(self, n):
        while len(self.rx_buf) < n:
            self.fill()
        data = bytes(self.rx_buf[:n])
        del self.rx_buf[:n]
        return data

    def reset(self):
        """Close with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                             struct.pack("ii", 1, 0))
        self.sock.close()

    # ---- packets ----

    def plain(self, payload, pad=None, length=None, fill=None):
        """The plain packet, with what may be wrong about it."""
        head = 1 if self.tx.clear_len else 5
        if pad is None:
            pad = -(head + len(payload)) % self.tx.block
            if pad < 4:
                pad += self.tx.block
        body = bytes([pad & 255]) + payload
        body += os.urandom(pad if fill is None else fill)
        return u32(len(body) if length is None else length) + body

    def seal(self, packet):
        wire = self.tx.seal(self.tx_seq, packet)
        self.tx_seq = (self.tx_seq + 1) & 0xffffffff
        return wire

    def send(self, payload, **wrong):
        self.raw(self.seal(self.plain(payload, **wrong)))

    def send_now(self, payload):
        """Send it, or fail: BlockingIOError, and never use us again."""
        wire = self.seal(self.plain(payload))
        if self.sock.send(wire, socket.MSG_DONTWAIT) < len(wire):
            raise BlockingIOError

    def recv_packet(self):
        body = self.rx.open(self.read, self.rx_seq)
        self.rx_seq = (self.rx_seq + 1) & 0xffffffff
        if body[0] < 4 or body[0] + 1 >= len(body):
            raise Fault("the padding of the server is wrong")
        return body[1:len(body) - body[0]]

    def recv_any(self):
        """The next message that is not for the transport alone."""
        while True:
            msg = self.recv_packet()
            if msg[0] == DISCONNECT:
                r = Reader(msg[1:])
                raise Disconnected(r.u32(), r.string().decode())
            if msg[0] not in (IGNORE, DEBUG, EXT_INFO):
                return msg

    def recv(self):
        """The next message; a key exchange of the server is answered."""
        if self.stash:
            return self.stash.pop(0)
        while True:
            msg = self.recv_any()
            if msg[0] != KEXINIT or self.in_kex:
                return msg
            self.answer_kexinit(msg)

    def expect(self, *types):
        """The next message of these types; others wait."""
        for i, msg in enumerate(self.stash):
            if msg[0] in types:
                return self.stash.pop(i)
        while True:
            msg = self.recv_any()
            if msg[0] in types:
                return msg
            if msg[0] == KEXINIT and not self.in_kex:
                self.answer_kexinit(msg)
            else:
                self.stash.append(msg)

    # ---- key exchange ----

    def banner(self, line=None):
        if line is not None:
            self.client_version = line
        self.raw(self.client_version + b"\r\n")
        while True:
            while b"\n" not in self.rx_buf:
                self.fill()
            line, _, rest = bytes(self.rx_buf).partition(b"\n")
            self.rx_buf = bytearray(rest)
            if line.startswith(b"SSH-2.0-"):
                self.server_version = line.rstrip(b"\r")
                return

    def kexinit(self, follows=False, **lists):
        cipher, _, mac = (self.rekey_cipher or self.cipher).partition("+")
        rx_cipher, _, rx_mac = (self.rx_cipher or self.rekey_cipher or
                                self.cipher).partition("+")
        kex = [self.kex_name]
        if self.session_id is None:
            kex += ["kex-strict-c-v00@openssh.com"] if self.strict else []
            kex += ["ext-info-c"] if self.ext_info else []
        names = {"kex": ",".join(kex), "hostkey": "ssh-ed25519",
                 "cipher_c2s": cipher, "cipher_s2c": rx_cipher,
                 "mac_c2s": mac or "hmac-sha2-256",
                 "mac_s2c": rx_mac or "hmac-sha2-256",
                 "comp_c2s": "none", "comp_s2c": "none",
                 "lang_c2s": "", "lang_s2c": ""}
        assert set(lists) <= set(names)
        names.update(lists)
        return (bytes([KEXINIT]) + os.urandom(16) +
                b"".join(string(s) for s in names.values()) +
                bytes([follows]) + u32(0))

    def send_kexinit(self, **lists):
        self.in_kex = True
        self.my_init = self.kexinit(**lists)
        self.send(self.my_init)

    def recv_kexinit(self):
        self.take_kexinit(self.expect(KEXINIT))

    def take_kexinit(self, msg):
        self.peer_init = msg
        kex = Reader(msg[17:]).string().decode().split(",")
        if self.session_id is None:
            self.strict_on = (self.strict and
                              "kex-strict-s-v00@openssh.com" in kex)

    def send_ecdh(self, point=None):
        self.secret = x25519.X25519PrivateKey.generate()
        self.q_c = self.secret.public_key().public_bytes_raw()
        if point is not None:
            self.q_c = point
        self.send(bytes([ECDH_INIT]) + string(self.q_c))

    def recv_reply(self):
        r = Reader(self.expect(ECDH_REPLY)[1:])
        blob, q_s, sig = r.string(), r.string(), r.string()
        r.end()
        self.k = mpint(self.secret.exchange(
            x25519.X25519PublicKey.from_public_bytes(q_s)))
        self.h = hashlib.sha256(
            string(self.client_version) + string(self.server_version) +
            string(self.my_init) + string(self.peer_init) + string(blob) +
            string(self.q_c) + string(q_s) + self.k).digest()
        blob, sig = Reader(blob), Reader(sig)
        if blob.string() != b"ssh-ed25519" or sig.string() != b"ssh-ed25519":
            raise Fault("another host key algorithm than agreed on")
        ed25519.Ed25519PublicKey.from_public_bytes(blob.string()).verify(
            sig.string(), self.h)
        if self.session_id is None:
            self.session_id = self.h

    def derive(self, letter, n):
        key = b""
        while len(key) < n:
            key += hashlib.sha256(self.k + self.h +
                                  (key or letter + self.session_id)).digest()
        return key[:n]

    def keys(self, letters, sending):
        name = self.rekey_cipher or self.cipher
        if not sending and self.rx_cipher:
            name = self.rx_cipher
        key, iv, mac = cipher_sizes(name)
        return make_cipher(name, self.derive(letters[1:2], key),
                           self.derive(letters[0:1], iv),
                           self.derive(letters[2:3], mac), sending)

    def send_newkeys(self):
        self.send(bytes([NEWKEYS]))
        self.tx = self.keys(b"ACE", True)
        if self.strict_on:
            self.tx_seq = 0

    def recv_newkeys(self):
        self.expect(NEWKEYS)
        self.rx = self.keys(b"BDF", False)
        if self.strict_on:
            self.rx_seq = 0
        self.in_kex = False

    def finish_kex(self):
        self.send_ecdh()
        self.recv_reply()
        self.send_newkeys()
        self.recv_newkeys()
        self.rekeys += 1

    def answer_kexinit(self, msg):
        self.take_kexinit(msg)
        self.send_kexinit()
        self.finish_kex()

    def rekey(self):
        self.send_kexinit()
        self.recv_kexinit()
        self.finish_kex()

    def handshake(self):
        self.banner()
        self.rekey()
        return self

    # ---- authentication ----

    def auth_request(self, method="none", data=b"", user=None,
                     service="ssh-connection"):
        return (bytes([AUTH_REQUEST]) +
                string(self.user if user is None else user) +
                string(service) + string(method) + data)

    def signed_request(self, session_id=None, key=None, **fields):
        key = key or self.key
        blob = string("ssh-ed25519") + string(
            key.public_key().public_bytes_raw())
        msg = self.auth_request("publickey", b"\1" + string("ssh-ed25519") +
                                string(blob), **fields)
        sig = key.sign(string(session_id or self.session_id) + msg)
        return msg + string(string("ssh-ed25519") + string(sig))

    def service(self, name="ssh-userauth"):
        self.send(bytes([SERVICE_REQUEST]) + string(name))
        self.expect(SERVICE_ACCEPT)

    def auth(self):
        self.service()
        self.send(self.signed_request())
        if self.expect(AUTH_SUCCESS, AUTH_FAILURE)[0] != AUTH_SUCCESS:
            raise Fault("the good key was refused")

    def login(self):
        self.handshake()
        self.auth()
        return self

    # ---- channels ----

    def handle(self, msg):
        """Take a message of the connection protocol in."""
        r = Reader(msg[1:])
        if msg[0] in (REQUEST_SUCCESS, REQUEST_FAILURE, UNIMPLEMENTED, 193):
            self.replies.append(msg)
            return
        if msg[0] == GLOBAL_REQUEST:
            r.string()
            if r.u8():
                self.send(bytes([REQUEST_FAILURE]))
            return
        if not OPEN_OK <= msg[0] <= FAILURE:
            raise Fault(f"message {msg[0]} was not expected")
        ch = self.channels.get(r.u32())
        if not ch:
            raise Fault(f"message {msg[0]} for a channel nobody opened")
        self.handle_channel(ch, msg[0], r)

    def handle_channel(self, ch, kind, r):
        if "close" in ch.events:
            raise Fault(f"message {kind} behind CHANNEL_CLOSE")
        if kind == OPEN_OK:
            ch.remote, ch.window, ch.max_packet = r.u32(), r.u32(), r.u32()
            r.end()
        elif kind == OPEN_FAILURE:
            ch.refused = r.u32()
        elif kind == ADJUST:
            ch.window += r.u32()
            r.end()
        elif kind in (DATA, EXT_DATA):
            self.handle_data(ch, kind, r)
        elif kind == EOF:
            r.end()
            ch.events.append("eof")
        elif kind == CLOSE:
            r.end()
            ch.events.append("close")
            del self.channels[ch.local]
        elif kind == REQUEST:
            name = r.string()
            if r.u8():
                raise Fault("a request of the server wants a reply")
            if name == b"exit-status":
                ch.status = r.u32()
            elif name == b"exit-signal":
                ch.status = r.string().decode()
            ch.events.append(name.decode())
        else:
            ch.events.append("success" if kind == SUCCESS else "failure")

    def handle_data(self, ch, kind, r):
        if kind == EXT_DATA and r.u32() != 1:
            raise Fault("extended data that is not stderr")
        data = r.string()
        r.end()
        if "eof" in ch.events:
            raise Fault("data behind CHANNEL_EOF")
        if len(data) > ch.granted:
            raise Fault("more data than the window allows")
        if len(data) > ch.largest:
            raise Fault("more data than the maximum packet size")
        ch.granted -= len(data)
        if kind == DATA:
            ch.out += data
        else:
            ch.err += data
        if self.auto_adjust and ch.granted < WINDOW // 2:
            ch.granted += WINDOW
            ch.send(ADJUST, u32(WINDOW))

    def until(self, done):
        while not done():
            self.handle(self.recv())

    def drain(self):
        """What has come so far, without waiting."""
        while self.stash or self.rx_buf or select.select(
                [self.sock], [], [], 0)[0]:
            self.handle(self.recv())

    def start_open(self, kind="session", window=WINDOW, max_packet=32768):
        ch = Channel(self, self.next_id, window)
        ch.largest = max_packet
        self.channels[ch.local] = ch
        self.next_id += 1
        self.send(bytes([OPEN]) + string(kind) + u32(ch.local) + u32(window) +
                  u32(max_packet))
        return ch

    def open(self, **args):
        ch = self.start_open(**args)
        self.until(lambda: ch.remote is not None or ch.refused is not None)
        return ch

    def exec(self, command, **args):
        ch = self.open(**args)
        if ch.refused is not None:
            raise Fault(f"a channel was refused: {ch.refused}")
        if not ch.request("exec", string(command)):
            raise Fault("a command was refused")
        return ch

    def run(self, command, stdin=b""):
        """Output of a command that ends with status 0."""
        ch = self.exec(command)
        if stdin:
            ch.data(stdin)
        ch.eof()
        out = ch.finish()
        if ch.status != 0:
            raise Fault(f"{command}: status {ch.status}")
        return out

    # ---- ends ----

    def end(self):
        """How the server ends the connection: the reason, None if unsaid."""
        try:
            while True:
                self.recv_any()
        except Disconnected as e:
            self.wait_closed()
            return e.reason
        except Closed:
            return None

    def wait_closed(self):
        try:
            while True:
                self.rx_buf.clear()
                self.fill()
        except Closed:
            pass


def load_key(path):
    with open(path, "rb") as f:
        return serialization.load_ssh_private_key(f.read(), None)

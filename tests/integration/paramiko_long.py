# SPDX-License-Identifier: MIT
"""A request without end beside others: PORT USER KEY FOLDER

FOLDER has a file "endless", which is hashed meanwhile.
"""
import sys

from paramiko_connect import connect
from paramiko.sftp import CMD_EXTENDED, int64

port, user, key, folder = sys.argv[1:]
client = connect(port, user, key)

busy = client.open_sftp()
f = busy.open(folder + "/endless", "rb")
busy._async_request(type(None), CMD_EXTENDED, "check-file-handle", f.handle,
                    "sha512", int64(0), int64(0), 0)

other = client.open_sftp()
data = bytes(range(256)) * 400
for i in range(3):
    _, stdout, _ = client.exec_command("echo hello")
    assert stdout.read() == b"hello\n"
    with other.open(folder + "/other", "wb") as g:
        g.write(data)
    with other.open(folder + "/other", "rb") as g:
        assert g.read() == data
    client.get_transport().renegotiate_keys()
other.remove(folder + "/other")
assert not busy.get_channel().recv_ready(), "the hash was answered"
client.close()

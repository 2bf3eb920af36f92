# SPDX-License-Identifier: MIT
"""A request without end beside others: PORT USER KEY FOLDER

FOLDER has a file "endless", which is hashed meanwhile.
"""
import sys
import warnings

warnings.simplefilter("ignore")
import paramiko  # noqa: E402
from paramiko.sftp import CMD_EXTENDED, int64  # noqa: E402

port, user, key, folder = sys.argv[1:]
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect("127.0.0.1", int(port), user, key_filename=key,
               look_for_keys=False, allow_agent=False)

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

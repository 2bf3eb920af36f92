# SPDX-License-Identifier: MIT
"""Files with holes: PORT USER KEY FOLDER, which gets "gap" and "long"."""
import sys

from paramiko_connect import connect

port, user, key, folder = sys.argv[1:]
client = connect(port, user, key)
sftp = client.open_sftp()
with sftp.open(folder + "/gap", "wb") as f:
    f.write(b"a")
    f.seek(8 << 20)
    f.write(b"z")
with sftp.open(folder + "/long", "wb") as f:
    f.truncate(8 << 20)
with sftp.open(folder + "/long", "rb") as f:
    assert f.read(100000) == bytes(100000)
client.close()

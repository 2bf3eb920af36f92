# SPDX-License-Identifier: MIT
"""A range of a file: PORT USER KEY put|get NEAR FAR OFFSET LENGTH

Both files are there before; nothing of them but the range is changed.
"""
import sys

from paramiko_connect import connect

port, user, key, way, near, far = sys.argv[1:7]
offset, length = map(int, sys.argv[7:])
client = connect(port, user, key)
sftp = client.open_sftp()
with open(near, "r+b") as mine, sftp.open(far, "r+b") as theirs:
    mine.seek(offset)
    if way == "put":
        theirs.seek(offset)
        theirs.set_pipelined(True)
        theirs.write(mine.read(length))
    else:
        step = 32768
        chunks = [(at, min(step, offset + length - at))
                  for at in range(offset, offset + length, step)]
        for chunk in theirs.readv(chunks):
            mine.write(chunk)
client.close()

# SPDX-License-Identifier: MIT
"""Prints the error a transfer ends with: PORT USER KEY put|get NEAR FAR"""
import sys

from paramiko_connect import connect

port, user, key, way, near, far = sys.argv[1:]
client = connect(port, user, key)
sftp = client.open_sftp()
try:
    if way == "put":
        with open(near, "rb") as data, sftp.open(far, "wb") as f:
            f.write(data.read())
    else:
        with sftp.open(far, "rb") as f:
            f.read()
    print("no error")
except OSError as e:
    print(e)
# the connection goes on
sftp.listdir("/")
client.close()

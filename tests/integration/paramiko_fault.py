# SPDX-License-Identifier: MIT
"""Prints the error a transfer ends with: PORT USER KEY put|get NEAR FAR"""
import sys
import warnings

warnings.simplefilter("ignore")
import paramiko  # noqa: E402

port, user, key, way, near, far = sys.argv[1:]
client = paramiko.SSHClient()
client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
client.connect("127.0.0.1", int(port), user, key_filename=key,
               look_for_keys=False, allow_agent=False)
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

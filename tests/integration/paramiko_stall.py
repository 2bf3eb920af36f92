# SPDX-License-Identifier: MIT
"""A disk that stands still holds up only its own files

PORT USER KEY STILL OTHER NEW DEVICE: hundreds of READs of STILL are under way
while its device gives nothing; OTHER is read, NEW written meanwhile. Prints the
hashes of what was read, in the order of the answers.
"""
import hashlib
import subprocess
import sys
import threading

from paramiko_connect import connect

port, user, key, still, other, new, device = sys.argv[1:]


def tell(name, data):
    print(hashlib.sha256(data).hexdigest(), name)


def dmsetup(*args):
    subprocess.run(["dmsetup", *args, device], check=True)


client = connect(port, user, key)
sftp = client.open_sftp()
first = sftp.open(still, "rb")
second = sftp.open(other, "rb")
dmsetup("suspend", "--nolockfs", "--noflush")
try:
    before = set(threading.enumerate())
    first.prefetch()
    for thread in set(threading.enumerate()) - before:
        thread.join()
    data = second.read()
    tell("other", data)
    with sftp.open(new, "wb") as f:
        f.write(data)
    print(sftp.stat(new).st_size, "new")
    sftp.rename(new, new + ".2")
    second.close()
finally:
    dmsetup("resume")
tell("still", first.read())
client.close()

# SPDX-License-Identifier: MIT
"""paramiko against a server: PORT USER KEY FILE FOLDER"""
import hashlib
import sys

from paramiko_connect import connect

port, user, key, path, folder = sys.argv[1:]
with open(path, "rb") as f:
    data = f.read()
want = hashlib.sha256(data).hexdigest()

client = connect(port, user, key, disabled_algorithms={"ciphers": [
    "aes128-ctr", "aes192-ctr", "aes256-ctr"]})
transport = client.get_transport()
print("cipher", transport.local_cipher)

stdin, stdout, stderr = client.exec_command("cat; echo err >&2; exit 5")
stdin.write(b"hello")
stdin.channel.shutdown_write()
assert stdout.read() == b"hello"
assert stderr.read() == b"err\n"
assert stdout.channel.recv_exit_status() == 5

sftp = client.open_sftp()
sftp.put(path, folder + "/para")
with sftp.open(folder + "/para", "rb") as f:
    f.prefetch()
    assert hashlib.sha256(f.read()).hexdigest() == want
transport.renegotiate_keys()
with sftp.open(folder + "/para", "rb") as f:
    assert hashlib.sha256(f.read()).hexdigest() == want
sftp.get(folder + "/para", path + ".para")
with open(path + ".para", "rb") as f:
    assert hashlib.sha256(f.read()).hexdigest() == want
assert "para" in sftp.listdir(folder)
sftp.posix_rename(folder + "/para", folder + "/para2")
assert sftp.stat(folder + "/para2").st_size == len(data)
sftp.truncate(folder + "/para2", 1000)
assert sftp.stat(folder + "/para2").st_size == 1000
sftp.remove(folder + "/para2")
try:
    sftp.stat(folder + "/para2")
    raise SystemExit("the file is still there")
except FileNotFoundError:
    pass
client.close()

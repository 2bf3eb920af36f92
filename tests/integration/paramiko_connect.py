# SPDX-License-Identifier: MIT
"""A connection of paramiko to the server of a test, with its key alone."""
import warnings

warnings.simplefilter("ignore")
import paramiko  # noqa: E402


def connect(port, user, key, **options):
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    client.connect("127.0.0.1", int(port), user, key_filename=key,
                   look_for_keys=False, allow_agent=False, **options)
    return client

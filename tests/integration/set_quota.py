#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""set_quota.py DEVICE UID KIB: what a user may have on a file system."""

import ctypes
import os
import sys

Q_SETQUOTA = 0x800008
USRQUOTA = 0
QIF_BLIMITS = 1


class Dqblk(ctypes.Structure):
    """struct if_dqblk of linux/quota.h"""
    _fields_ = [(name, ctypes.c_uint64) for name in (
        "bhardlimit", "bsoftlimit", "curspace", "ihardlimit", "isoftlimit",
        "curinodes", "btime", "itime")] + [("valid", ctypes.c_uint32)]


def main():
    device, uid, kib = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    libc = ctypes.CDLL(None, use_errno=True)
    dqblk = Dqblk(bhardlimit=kib, valid=QIF_BLIMITS)
    if libc.quotactl(Q_SETQUOTA << 8 | USRQUOTA, device.encode(), uid,
                     ctypes.byref(dqblk)):
        sys.exit(f"{device}: {os.strerror(ctypes.get_errno())}")


main()

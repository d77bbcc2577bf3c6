"""Become the given command, and die when the parent does: `child.py PARENT_PID COMMAND...`.

A launcher rather than a `preexec_fn`, which is unsafe once threads run.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # the parent died before prctl took hold
            sys.exit(1)
    # A shell starts background jobs with SIGINT ignored, and exec would inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # Ray's processes block it
    os.execv(command[0], command)


if __name__ == "__main__":
    main()

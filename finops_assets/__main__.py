"""The `finops` command, and `python -m finops_assets`: Ctrl-C is one line while the command itself is still imported.

Only the 20 ms in which Python starts, before any code of a program runs, are out of reach.
"""

from __future__ import annotations

import os
import signal


def main() -> None:
    """Import the command and run it; cli/errors.py takes the signals over once it is invoked."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # ignored, it stays so: nohup, a shell's `&`
        signal.signal(signal.SIGINT, _end)
    from finops_assets.cli.main import main as command

    command()


def _end(number: int, _: object) -> None:
    """End at once: nothing has begun, and no library that is half imported can clean up."""
    os.write(2, b"error: finops was interrupted by Ctrl-C.\n")
    os._exit(128 + number)


if __name__ == "__main__":
    main()

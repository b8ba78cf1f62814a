"""The stand-in as a process: `python -m standin`. Prints where it listens as one line of JSON; runs until SIGTERM."""

from __future__ import annotations

import argparse
import json
import signal
import tempfile
import threading
from pathlib import Path

from standin.server import StandIn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0: any")
    parser.add_argument("--folder", type=Path, help="folder for its files; a temporary one by default")
    arguments = parser.parse_args()
    done = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    signal.signal(signal.SIGINT, lambda *_: done.set())
    with (
        tempfile.TemporaryDirectory(prefix="stand-in-aws-") as temporary,
        StandIn(arguments.folder or Path(temporary), port=arguments.port) as stand_in,
    ):
        print(json.dumps({"url": stand_in.url, "environ": stand_in.environ}), flush=True)
        done.wait()


if __name__ == "__main__":
    main()

"""Start ComfyUI up to where it would serve, time how it loads the pack, and leave.

`start_probe.py COMFYUI_ROOT ARGUMENTS...`, run by ComfyUI's Python; the last line of stdout is
JSON. The host's own log of import times has a resolution of 0.1 s, so its function is timed here.
CPU seconds of the loading thread stand beside the wall's, which other programs lengthen, and those
of Python's garbage collector apart: it looks through all objects of the host when enough new ones
have come, whoever made the last of them.
"""

import gc
import json
import os
import sys
import time

BEGIN, END = "<<< pack", ">>> pack"


class Collections:
    """CPU seconds that garbage collections took so far."""

    def __init__(self) -> None:
        self.seconds = self._began = 0.0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, info: dict[str, int]) -> None:
        now = time.thread_time()
        if phase == "start":
            self._began = now
        else:
            self.seconds += now - self._began


def main() -> None:
    collections = Collections()
    if "importtime" in sys._xoptions:
        gc.disable()  # no module's own time
    root = sys.argv[1]
    sys.path[0] = root
    sys.argv = [os.path.join(root, "main.py"), *sys.argv[2:]]
    import main as host
    import nodes

    load, seconds = nodes.load_custom_node, {}

    async def timed(module_path, *args, **kwargs):
        if not module_path.startswith(os.path.join(root, "custom_nodes")):
            return await load(module_path, *args, **kwargs)
        print(BEGIN, file=sys.stderr, flush=True)
        wall, cpu, collected = time.perf_counter(), time.thread_time(), collections.seconds
        loaded = await load(module_path, *args, **kwargs)
        seconds["wall"], seconds["cpu"] = time.perf_counter() - wall, time.thread_time() - cpu
        seconds["collections"] = collections.seconds - collected
        print(END, file=sys.stderr, flush=True)
        if not loaded:
            raise SystemExit(f"{module_path} did not load")
        return loaded

    nodes.load_custom_node = timed
    host.start_comfyui()
    print(json.dumps({"load": seconds, "collections": collections.seconds}), flush=True)
    os._exit(0)  # the worker threads have nothing to finish


if __name__ == "__main__":
    main()

"""Start ComfyUI up to where it would serve, time how it loads the pack, and leave.

`start_probe.py COMFYUI_ROOT ARGUMENTS...`, run by ComfyUI's Python; the last line of stdout is
JSON. The host's own log of import times has a resolution of 0.1 s, so its function is timed here.
CPU seconds of the loading thread stand beside the wall's, which other programs lengthen.
"""

import json
import os
import sys
import time

BEGIN, END = "<<< pack", ">>> pack"


def main() -> None:
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
        wall, cpu = time.perf_counter(), time.thread_time()
        loaded = await load(module_path, *args, **kwargs)
        seconds["wall"], seconds["cpu"] = time.perf_counter() - wall, time.thread_time() - cpu
        print(END, file=sys.stderr, flush=True)
        if not loaded:
            raise SystemExit(f"{module_path} did not load")
        return loaded

    nodes.load_custom_node = timed
    host.start_comfyui()
    print(json.dumps(seconds), flush=True)
    os._exit(0)  # the worker threads have nothing to finish


if __name__ == "__main__":
    main()

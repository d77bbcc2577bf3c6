"""A node that only tests use: a job that runs for as long as a test wants it to."""

import time
from pathlib import Path

import folder_paths
from comfy_api.latest import ComfyExtension, io


class Gate(io.ComfyNode):
    """Waits until the file `name` is in the output folder, at most two minutes."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FVGGate",
            is_output_node=True,
            inputs=[io.String.Input("name")],
            outputs=[],
        )

    @classmethod
    def execute(cls, name):
        deadline = time.monotonic() + 120
        while not (Path(folder_paths.get_output_directory()) / name).exists():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{name} did not appear")
            time.sleep(0.05)
        return io.NodeOutput()


class GateProbe(ComfyExtension):
    async def get_node_list(self):
        return [Gate]


def comfy_entrypoint():
    return GateProbe()

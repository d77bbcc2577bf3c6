"""Nodes that only the benchmarks use: a larger random Wan, and stopwatches around sampling and
training."""


async def comfy_entrypoint():
    from comfy_api.latest import ComfyExtension

    from .steps import TimeSteps
    from .training import EncodeAnew, StartTraining, StopTraining
    from .wan import RandomWan

    class Extension(ComfyExtension):
        async def get_node_list(self):
            return [RandomWan, TimeSteps, StartTraining, StopTraining, EncodeAnew]

    return Extension()

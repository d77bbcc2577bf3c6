"""Nodes that only the benchmarks use: a larger random Wan, and a stopwatch around sampling."""


async def comfy_entrypoint():
    from comfy_api.latest import ComfyExtension

    from .steps import TimeSteps
    from .wan import RandomWan

    class Extension(ComfyExtension):
        async def get_node_list(self):
            return [RandomWan, TimeSteps]

    return Extension()

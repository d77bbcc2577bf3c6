"""Nodes that only the benchmarks use: a larger random Wan, stopwatches around sampling and
training, and changes to sampling that are in no other node."""


async def comfy_entrypoint():
    from comfy_api.latest import ComfyExtension

    from .options import Candidate
    from .paper import CountFlops, SharedTime
    from .steps import TimeSteps
    from .training import EncodeAnew, StartTraining, StopTraining
    from .wan import RandomWan

    class Extension(ComfyExtension):
        async def get_node_list(self):
            return [
                RandomWan,
                Candidate,
                TimeSteps,
                StartTraining,
                StopTraining,
                EncodeAnew,
                SharedTime,
                CountFlops,
            ]

    return Extension()

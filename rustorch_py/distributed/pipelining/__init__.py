"""Pipeline parallelism: a model cut into stages on different ranks, through which micro-batches flow (``torch.distributed.pipelining``)."""
from ._pipe import Pipe, SplitPoint, pipe_split, pipeline, split_sequential
from .schedules import Schedule1F1B, ScheduleGPipe, ScheduleInterleaved1F1B, ScheduleLoopedBFS
from .stage import PipelineStage, build_stage

__all__ = ["Pipe", "PipelineStage", "Schedule1F1B", "ScheduleGPipe", "ScheduleInterleaved1F1B", "ScheduleLoopedBFS", "SplitPoint", "build_stage", "pipe_split",
           "pipeline", "split_sequential"]

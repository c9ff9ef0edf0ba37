"""Checkpoints of many ranks: each writes its own parts, any number of ranks reads them back.

Note [A checkpoint of many ranks]
    A folder holds one safetensors file a rank and save, under a name no earlier save used, and ``.metadata``, which says in JSON
    which part of which tensor is where. Rank 0 replaces ``.metadata`` in one step once all ranks' files are on the disk, and removes
    the earlier files after that: whoever is killed when, ``.metadata`` names a whole checkpoint. What several ranks have alike is written
    by one of them, the one with the least to write.
"""
from . import state_dict
from ._api import AsyncCheckpointerType, AsyncSaveResponse, CheckpointException, Stateful, async_save, load, load_state_dict, save, save_state_dict
from ._files import FileSystemReader, FileSystemWriter, StorageReader, StorageWriter
from ._plan import (BytesStorageMetadata, ChunkStorageMetadata, DefaultLoadPlanner, DefaultSavePlanner, Metadata, TensorProperties, TensorStorageMetadata)

__all__ = ["AsyncCheckpointerType", "AsyncSaveResponse", "BytesStorageMetadata", "CheckpointException", "ChunkStorageMetadata", "DefaultLoadPlanner",
           "DefaultSavePlanner", "FileSystemReader", "FileSystemWriter", "Metadata", "Stateful", "StorageReader", "StorageWriter", "TensorProperties",
           "TensorStorageMetadata", "async_save", "load", "load_state_dict", "save", "save_state_dict", "state_dict"]

"""Ranks as a grid: a group for each line along each dimension, so that data, tensor and pipeline parallel compose."""
from __future__ import annotations

import math
import os

from .. import tensor as _t
from ..errors import DeviceError, DistError, TensorValueError
from . import _group

__all__ = ["DeviceMesh", "init_device_mesh"]


class DeviceMesh:
    """Ranks of the default group in a grid. All ranks make the same meshes in the same order.

    Args:
        device_type: "cpu", or "cuda" where NCCL carries the default group's tensors.
        mesh: tensor or nested lists of ranks, each once.
        mesh_dim_names: a name for each dimension.

    Example:
        >>> mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("dp", "tp"))           # doctest: +SKIP
        >>> mesh["tp"].get_group()                                                        # doctest: +SKIP
    """

    def __init__(self, device_type, mesh=None, *, mesh_dim_names=None, backend_override=None, _groups=None):
        op = "DeviceMesh"
        world = _group.default(op)
        if device_type not in world.carries:
            raise DeviceError(f"{op}: device_type: the default group carries tensors on {' and '.join(world.carries)}, got {device_type!r}", op=op)
        if backend_override is not None:
            raise TensorValueError(f"{op}: backend_override is not supported, must be None", op=op)
        mesh = mesh.detach() if isinstance(mesh, _t.Tensor) else _t.tensor(mesh)
        self.mesh = mesh.to(_t.int32)
        self.device_type, self.mesh_dim_names = device_type, tuple(mesh_dim_names) if mesh_dim_names else None
        if self.mesh_dim_names and len(self.mesh_dim_names) != self.mesh.dim():
            raise DistError(f"{op}: mesh_dim_names: expected {self.mesh.dim()} names, got {self.mesh_dim_names}", op=op)
        ranks = self.mesh.flatten().tolist()
        if len(set(ranks)) != len(ranks) or any(not 0 <= r < world.size() for r in ranks):
            raise DistError(f"{op}: mesh: expected each rank below {world.size()} at most once, got {ranks}", op=op)
        self._rank = world.rank()
        place = (self.mesh == self._rank).nonzero()
        self._coordinate = place[0].tolist() if len(place) else None
        self._groups = self._make_groups() if _groups is None else _groups
        self._root = self                # the mesh that this one is a slice of

    def _make_groups(self):
        """Make a group for each line of the grid; returns this rank's, one a dimension."""
        own = []
        for dim in range(self.mesh.dim()):
            mine = None
            lines = self.mesh.movedim(dim, -1).reshape(-1, self.mesh.shape[dim]).tolist()
            name = self.mesh_dim_names[dim] if self.mesh_dim_names else f"dim {dim}"
            for line in lines:
                pg = _group.new_group(line, group_desc=f"mesh_{name}", sort_ranks=False)
                if pg is not _group.GroupMember.NON_GROUP_MEMBER:
                    mine = pg
            own.append(mine)
        return own

    @property
    def ndim(self):
        """Number of dimensions."""
        return self.mesh.dim()

    @property
    def shape(self):
        """Sizes of the dimensions."""
        return tuple(self.mesh.shape)

    def size(self, mesh_dim=None):
        """Return the number of ranks, or the size of a dimension."""
        return self.mesh.numel() if mesh_dim is None else self.mesh.shape[self._dim(mesh_dim)]

    def _dim(self, mesh_dim):
        if isinstance(mesh_dim, str):
            if not self.mesh_dim_names or mesh_dim not in self.mesh_dim_names:
                raise KeyError(f"Invalid mesh_dim_name {mesh_dim!r}. Valid mesh_dim_names are {self.mesh_dim_names}")
            return self.mesh_dim_names.index(mesh_dim)
        if not -self.ndim <= mesh_dim < self.ndim:
            raise DistError(f"DeviceMesh: dimension {mesh_dim} of a mesh of {self.ndim}", op="DeviceMesh")
        return mesh_dim % self.ndim

    def get_group(self, mesh_dim=None):
        """Return the group of this rank's line along a dimension (number or name); it may be left away where there is one dimension."""
        if mesh_dim is None:
            if self.ndim > 1:
                raise DistError(f"Found the DeviceMesh have {self.ndim} dimensions. Optional kwarg `mesh_dim` needs to be specified when device_mesh.ndim > 1.",
                                op="get_group")
            mesh_dim = 0
        return self._groups[self._dim(mesh_dim)]

    def get_all_groups(self):
        """Return this rank's groups, one a dimension."""
        return [self.get_group(i) for i in range(self.ndim)]

    def get_rank(self):
        """Return this process's rank in the default group."""
        return self._rank

    def get_local_rank(self, mesh_dim=None):
        """Return this rank's place along a dimension."""
        if mesh_dim is None:
            if self.ndim > 1:
                raise DistError(f"Found the DeviceMesh have {self.ndim} dimensions. Optional kwarg `mesh_dim` needs to be specified when device_mesh.ndim > 1.",
                                op="get_local_rank")
            mesh_dim = 0
        if self._coordinate is None:
            raise DistError(f"DeviceMesh: rank {self._rank} is not in the mesh", op="get_local_rank")
        return self._coordinate[self._dim(mesh_dim)]

    def get_coordinate(self):
        """Return this rank's place along all dimensions, None outside of the mesh."""
        return list(self._coordinate) if self._coordinate is not None else None

    def __getitem__(self, mesh_dim_names):
        """Return the mesh of this rank's line, or plane, along the named dimensions; it uses this mesh's groups."""
        if not self.mesh_dim_names:
            raise DistError("Cannot slice a DeviceMesh without mesh_dim_names!", op="DeviceMesh")
        names = (mesh_dim_names,) if isinstance(mesh_dim_names, str) else tuple(mesh_dim_names)
        dims = [self._dim(name) for name in names]
        if len(set(dims)) != len(dims):
            raise KeyError(f"Invalid mesh_dim_names {names}: each may be there once")
        if self._coordinate is None:
            raise DistError(f"DeviceMesh: rank {self._rank} is not in the mesh", op="DeviceMesh")
        rest = [i for i in range(self.ndim) if i not in dims]
        part = self.mesh.permute((*rest, *dims))[tuple(self._coordinate[i] for i in rest)]
        if dims == list(range(self.ndim)):
            return self
        slice_ = DeviceMesh(self.device_type, part, mesh_dim_names=names, _groups=[self._groups[i] for i in dims])
        slice_._root = self._root
        return slice_

    @classmethod
    def from_group(cls, group, device_type, mesh=None, *, mesh_dim_names=None):
        """Return the mesh of one group, or of a list of groups along the dimensions of ``mesh``."""
        groups = list(group) if isinstance(group, (list, tuple)) else [group]
        if mesh is None:
            if len(groups) != 1:
                raise TensorValueError("DeviceMesh.from_group: mesh must be given with several groups", op="from_group")
            mesh = _group.get_process_group_ranks(groups[0])
        found = cls(device_type, mesh, mesh_dim_names=mesh_dim_names, _groups=groups)
        if found.ndim != len(groups):
            raise TensorValueError(f"DeviceMesh.from_group: a mesh of {found.ndim} dimensions needs as many groups, got {len(groups)}", op="from_group")
        return found

    def __eq__(self, other):
        return self is other or (isinstance(other, DeviceMesh) and self.shape == other.shape and self.mesh_dim_names == other.mesh_dim_names
                                 and self.mesh.tolist() == other.mesh.tolist())

    def __hash__(self):
        return hash((self.shape, self.mesh_dim_names, tuple(self.mesh.flatten().tolist())))

    def __repr__(self):
        shape = f"({', '.join(f'{k}={v}' for k, v in zip(self.mesh_dim_names, self.shape))})" if self.mesh_dim_names else f"{self.shape}"
        text = f"DeviceMesh({shape}, '{self.device_type}', stride={tuple(self.mesh.stride())}"
        if os.environ.get("TORCH_DISTRIBUTED_DEBUG", "") == "DETAIL":
            text += f", Mesh: {self.mesh.tolist()}"
        return text + ")"


def init_device_mesh(device_type, mesh_shape, *, mesh_dim_names=None, backend_override=None):
    """Return the ranks 0, 1, ... in a grid of a shape; starts the default group if there is none.

    Args:
        device_type: "cpu" or "cuda".
        mesh_shape: sizes whose product is at most the number of ranks.
        mesh_dim_names: a different name for each dimension.
    """
    op = "init_device_mesh"
    if mesh_dim_names is not None:
        if len(set(mesh_dim_names)) != len(mesh_dim_names):
            raise DistError(f"Each mesh_dim_name must be unique. Found repeated mesh_dim_name in mesh_dim_names {mesh_dim_names}", op=op)
        if len(mesh_shape) != len(mesh_dim_names):
            raise DistError(f"mesh_shape and mesh_dim_names should have same length! Found len(mesh_dim_names): {len(mesh_dim_names)} and "
                            f"len(mesh_shape):{len(mesh_shape)}.", op=op)
    if device_type and not device_type.isalpha():
        raise DistError(f"Device type with index is not supported but got {device_type}. ", op=op)
    if not _group.is_initialized():
        _group.init_process_group()
    if math.prod(mesh_shape) > _group.get_world_size():
        raise DistError(f"{op}: Mesh should not be bigger than default world size {_group.get_world_size()}, but found {math.prod(mesh_shape)} ranks!", op=op)
    return DeviceMesh(device_type, _t.arange(math.prod(mesh_shape)).reshape(tuple(mesh_shape)), mesh_dim_names=mesh_dim_names, backend_override=backend_override)

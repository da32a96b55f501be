"""`jax.extend.sharding`: shardings in the words of the compiler."""

from __future__ import annotations

from minijax.base.jaxlib import GSPMDSharding, HloSharding, OpSharding

__all__ = ["GSPMDSharding", "get_hlo_sharding_from_serialized_proto",
           "get_op_sharding_from_serialized_proto", "get_serialized_proto_from_hlo_sharding"]


def get_op_sharding_from_serialized_proto(sharding: bytes) -> OpSharding:
    """The protocol buffer that was serialized."""
    proto = OpSharding()
    proto.ParseFromString(sharding)
    return proto


def get_hlo_sharding_from_serialized_proto(sharding: bytes) -> HloSharding:
    """The sharding whose protocol buffer was serialized."""
    return HloSharding.from_proto(get_op_sharding_from_serialized_proto(sharding))


def get_serialized_proto_from_hlo_sharding(sharding: HloSharding) -> bytes:
    """The protocol buffer of a sharding, serialized."""
    return sharding.to_proto().SerializeToString()

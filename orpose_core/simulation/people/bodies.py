"""The rounded solids that a posed body is made of."""

from __future__ import annotations

import numpy as np
from numba import njit

from orpose_core.simulation.people import kinematics as k
from orpose_core.simulation.people.garments import add_garments, add_jacket
from orpose_core.simulation.people.heads import add_face, add_head
from orpose_core.simulation.people.held import add_held
from orpose_core.simulation.people.limbs import add_arms, add_legs, add_shoes
from orpose_core.simulation.people.outfits import Person
from orpose_core.simulation.people.trunks import add_relief, add_trunk
from orpose_core.simulation.sensing.solids import Solids
from orpose_core.types import Float64Array

SOLIDS_PER_PERSON = 80


@njit(cache=True)
def _dress(
    store: tuple,
    start: int,
    joints: Float64Array,
    frames: Float64Array,
    d: Float64Array,
    outfit: Float64Array,
    owner: int,
    base: int,
) -> int:
    """Write all solids of one body from row ``start`` on; return the first free row."""
    slot = np.array([start])
    add_head(store, slot, joints, frames, d, outfit, owner, base)
    add_trunk(store, slot, joints, frames, d, outfit, owner, base)
    add_arms(store, slot, joints, frames, d, outfit, owner, base)
    add_legs(store, slot, joints, frames, d, outfit, owner, base)
    add_garments(store, slot, joints, frames, d, outfit, owner, base)
    add_jacket(store, slot, joints, frames, d, outfit, owner, base)
    add_relief(store, slot, joints, frames, d, outfit, owner, base)
    add_face(store, slot, joints, frames, d, outfit, owner, base)
    add_shoes(store, slot, joints, frames, d, outfit, owner, base)
    add_held(store, slot, joints, frames, d, outfit, base)
    return slot[0]


def add_body(
    solids: Solids, person: Person, pose: Float64Array, owner: int, first_material: int
) -> Float64Array:
    """Append the solids of a posed person and return the joints.

    Args:
        solids: grows by at most SOLIDS_PER_PERSON rows.
        person: who.
        pose: float64 (40,), see :mod:`kinematics`.
        owner: index of the person.
        first_material: row of the material table where the person's PERSON_MATERIALS rows begin.

    Returns:
        float64 (24, 3), room frame, metres.
    """
    joints, frames = k.joints_of(pose, person.dimensions)
    store = (
        solids.kinds, solids.origins, solids.axes, solids.scales, solids.params, solids.owners, solids.parts,
        solids.materials,
    )  # fmt: skip
    solids.count = int(
        _dress(store, solids.count, joints, frames, person.dimensions, person.outfit, owner, first_material)
    )
    return joints

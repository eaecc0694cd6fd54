"""Vehicles to draw in tests."""

from numpy.typing import ArrayLike

from forestpilot.sim.rendering import VehiclePose
from forestpilot.sim.vehicles.car_look import car_look
from forestpilot.sim.vehicles.car_parameters import WHEELBASE_M, CarParameters
from forestpilot.sim.vehicles.quadrotor import QuadrotorParameters
from forestpilot.sim.vehicles.quadrotor_look import quadrotor_look

QUADROTOR = quadrotor_look(QuadrotorParameters().arm_m)
CAR = car_look(WHEELBASE_M, CarParameters().half_track_m)


def drawn_quadrotor(position: ArrayLike, rotation: ArrayLike) -> VehiclePose:
    """A quadrotor at a place."""
    return VehiclePose(position, rotation, QUADROTOR)


def drawn_car(position: ArrayLike, rotation: ArrayLike, steering_rad: float = 0.0) -> VehiclePose:
    """A car at a place, its wheels turned."""
    return VehiclePose(position, rotation, CAR, steering_rad)

"""A server of fakes for every test that asks for one."""

from fakes.fixtures import make_world, world  # noqa: F401 - fixtures are found by their names here

"""The environment in which relgrad's scripts and tests start mpirun: tools/launcher.env."""
import pathlib

ENVIRONMENT = dict(line.split("=", 1)
                   for line in pathlib.Path(__file__).with_suffix(".env").read_text().splitlines()
                   if line and not line.startswith("#"))

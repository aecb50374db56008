"""Builds the native kernel, one library for every machine of an architecture, and packs the bundled models.

The kernel is a plain shared library behind a C interface; it needs neither Python's headers nor a binding library.
Without a working compiler the installation goes on, and the package runs on its torch backend.
"""

from glob import glob
from os.path import isfile
from runpy import run_path

from setuptools import Extension, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

SOURCES = "painn_ase/native/csrc"
RECIPE = run_path("painn_ase/native/recipe.py")
COMMON, FLAGS = RECIPE["UNITS"], list(RECIPE["FLAGS"])
TRAINING = ("gradients", "interface", "loss", "network", "samples", "trainer", "update", "workspace")


class BuildKernel(build_ext):
    """Compiles each instruction set's file with its own flags, and links them into one library."""

    def build_extension(self, ext: Extension) -> None:
        sets = {name: list(flags) for name, flags in RECIPE["instruction_sets"]().items()}
        units = [(f"{SOURCES}/{name}.cpp", []) for name in COMMON]
        units += [(f"{SOURCES}/training/{name}.cpp", []) for name in TRAINING]
        units += [(f"{SOURCES}/kernels_{name}.cpp", flags) for name, flags in sets.items()]
        units += [(f"{SOURCES}/training/training_{name}.cpp", flags) for name, flags in sets.items()]
        objects = []
        for source, flags in units:
            objects += self.compiler.compile([source], output_dir=self.build_temp, extra_postargs=FLAGS + flags)
        self.compiler.link_shared_object(
            objects, self.get_ext_fullpath(ext.name), extra_postargs=["-pthread"], target_lang="c++"
        )


class AnyPython(bdist_wheel):
    """Tags the wheel for every CPython from 3.10 on: the library does not use Python's binary interface."""

    def finalize_options(self) -> None:
        self.py_limited_api = "cp310"
        super().finalize_options()


setup(
    # the bundled models lie in models/, where people look for them, and travel inside the package
    packages=[*find_packages(include=["painn_ase*"]), "painn_ase.bundled"],
    package_dir={"painn_ase.bundled": "models"},
    package_data={
        "painn_ase": ["py.typed"],
        "painn_ase.native": ["csrc/*"],  # for the pair style of LAMMPS, which is compiled where LAMMPS is
        "painn_ase.lammps": ["csrc/*"],
        "painn_ase.bundled": [
            "*/model.json",
            "*/weights.safetensors",
            "*/card.md",
            "*/structure.xyz",
            "*/trained_on.txt",
            "*/*.toml",
        ],
    },
    ext_modules=[
        Extension(
            "painn_ase.native._native",
            [f"{SOURCES}/painn.cpp"],
            # files alone: a folder among them would be copied as one, and fail
            depends=sorted(path for path in glob(f"{SOURCES}/**", recursive=True) if isfile(path)),
            py_limited_api=True,
            optional=True,
        )
    ],
    cmdclass={"build_ext": BuildKernel, "bdist_wheel": AnyPython},
)
